"""What /health takes while nothing happens, and while a large upload arrives: both in one run, one ratio.

    python -m benchmarks.upload_latency --megabytes 2048
    python -m benchmarks.upload_latency --megabytes 2048 --route uploads              by tus, in one PATCH
    python -m benchmarks.upload_latency --megabytes 2048 --route uploads --piece 16   in PATCHes of 16 MiB
    python -m benchmarks.upload_latency --megabytes 2048 --rate 112                   as fast as a gigabit network can

The upload is no archive, so that nothing is imported at its end: what is measured is the receiving alone. The client
that sends lives in a process of its own, and every answer that it gets is checked: an upload that is refused measures
nothing. Without `--rate` the sender fills the cores that it shares with the service: the worst case.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterator

import httpx2
import numpy as np

from benchmarks.service import running_service

MIB = 2**20
BLOCK = MIB
GAP_S = 0.01
LEAST_SAMPLES = 100


class Pace:
    """Blocks of zeros, at most `rate` MiB a second over the whole upload; 0 for as fast as they are taken."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._started = time.perf_counter()
        self._given = 0

    def blocks(self, megabytes: int, *, before: bytes = b"", after: bytes = b"") -> Iterator[bytes]:
        yield before
        block = bytes(BLOCK)
        for _ in range(megabytes):
            yield block
            self._given += 1
            if self._rate:
                time.sleep(max(0.0, self._started + self._given / self._rate - time.perf_counter()))
        yield after


def send(base_url: str, megabytes: int, route: str, piece: int, rate: float) -> None:
    """Send zeros, as a form or by tus; `rate` in MiB a second.

    Raises:
        SystemExit: the service did not take them all.
    """
    with httpx2.Client(base_url=base_url, timeout=None) as client:
        if route == "upload":
            _send_form(client, megabytes, Pace(rate))
        else:
            _send_by_tus(client, megabytes, piece or megabytes, Pace(rate))


def _send_form(client: httpx2.Client, megabytes: int, pace: Pace) -> None:
    boundary = "benchmark"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="zeros.zip"\r\n'
        "Content-Type: application/zip\r\n\r\n"
    )
    body = pace.blocks(megabytes, before=head.encode(), after=f"\r\n--{boundary}--\r\n".encode())
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = client.post("/api/cv/upload", content=body, headers=headers)
    # taken whole, and then found to be no archive
    _require(answer, 422, "not a ZIP archive")


def _send_by_tus(client: httpx2.Client, megabytes: int, piece: int, pace: Pace) -> None:
    tus = {"Tus-Resumable": "1.0.0"}
    length = str(megabytes * MIB + 1)  # one byte short at the end: no job begins
    begun = client.post("/api/cv/uploads", headers={**tus, "Upload-Length": length})
    _require(begun, 201)
    place, sent = begun.headers["Location"], 0
    while sent < megabytes:
        now = min(piece, megabytes - sent)
        headers = {**tus, "Upload-Offset": str(sent * MIB), "Content-Type": "application/offset+octet-stream"}
        _require(client.patch(place, content=pace.blocks(now), headers=headers), 204)
        sent += now
    _require(client.delete(place, headers=tus), 204)


def _require(answer: httpx2.Response, status: int, words: str = "") -> None:
    if answer.status_code != status or words not in answer.text:
        raise SystemExit(
            f"{answer.request.method} {answer.request.url} was answered {answer.status_code}: {answer.text}"
        )


def sample(client: httpx2.Client) -> float:
    started = time.perf_counter()
    client.get("/health").raise_for_status()
    return (time.perf_counter() - started) * 1000


def summary(values: list[float]) -> dict[str, float]:
    return {
        "samples": len(values),
        "p50_ms": round(float(np.percentile(values, 50)), 2),
        "p95_ms": round(float(np.percentile(values, 95)), 2),
        "max_ms": round(max(values), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--route", choices=("upload", "uploads"), default="upload")
    parser.add_argument("--piece", type=int, default=0, help="MiB of a PATCH; all in one where not given")
    parser.add_argument("--rate", type=float, default=0.0, help="MiB a second; as fast as it goes where not given")
    chosen = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    # above the default of 2048: the form's own lines and the byte that never comes are counted too
    with running_service(SIGHTGLASS_MAX_UPLOAD_MB=str(chosen.megabytes + 64)) as client:
        for _ in range(20):
            sample(client)
        calm = [_paced(client) for _ in range(LEAST_SAMPLES * 2)]
        told = (str(client.base_url), chosen.megabytes, chosen.route, chosen.piece, chosen.rate)
        sender = context.Process(target=send, args=told)
        started = time.perf_counter()
        sender.start()
        busy = []
        while sender.is_alive():
            busy.append(_paced(client))
        seconds = time.perf_counter() - started
    if sender.exitcode != 0:
        raise SystemExit("The upload did not go through; what was measured means nothing.")
    quiet, loaded = summary(calm), summary(busy)
    print(
        json.dumps(
            {
                "route": chosen.route,
                "megabytes": chosen.megabytes,
                "piece": chosen.piece,
                "megabytes_per_s": round(chosen.megabytes / seconds),
                "seconds": round(seconds, 1),
                "health_without_upload": quiet,
                "health_during_upload": loaded,
                "p95_ratio": round(loaded["p95_ms"] / quiet["p95_ms"], 2),
            },
            indent=2,
        )
    )


def _paced(client: httpx2.Client) -> float:
    time.sleep(GAP_S)
    return sample(client)


if __name__ == "__main__":
    main()
