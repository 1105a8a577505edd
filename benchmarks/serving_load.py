"""Users who ask for predictions, for locust: `locust -f benchmarks/serving_load.py --headless -u 20 -r 20 -t 60s`.

Each posts one picture after the other from a folder, named by SERVING_PICTURES, to the path SERVING_PATH. The bodies
are put together once, so that the load generator takes little of the cores that it shares with the server. A 503 with
Retry-After counts by itself, under its own name; anything else that is not 200 is a failure.
"""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

from locust import FastHttpUser, constant, task

BOUNDARY = "sightglass-load"
HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
BUSY = "503 busy"


def body_of(picture: Path) -> bytes:
    disposition = f'Content-Disposition: form-data; name="file"; filename="{picture.name}"'
    head = f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n"
    return head.encode() + picture.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()


BODIES = [body_of(picture) for picture in sorted(Path(os.environ["SERVING_PICTURES"]).iterdir())]
PATH = os.environ.get("SERVING_PATH", "/predict")


class Caller(FastHttpUser):
    """Asks, waits for the answer, asks again."""

    wait_time = constant(0)
    network_timeout = 60.0
    connection_timeout = 60.0

    def on_start(self) -> None:
        self._bodies = itertools.cycle(random.sample(BODIES, len(BODIES)))

    @task
    def predict(self) -> None:
        with self.client.post(
            PATH,
            data=next(self._bodies),  # type: ignore[arg-type]  # bytes are sent as they are
            headers=HEADERS,
            name="predict",
            catch_response=True,
        ) as answer:
            if answer.status_code == 503 and answer.headers.get("Retry-After"):
                answer.request_meta["name"] = BUSY
                answer.success()
            elif answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
            elif b"confidence" not in answer.content and b"probs" not in answer.content:
                answer.failure("no prediction")
