"""What /health takes while nothing happens, and while a large upload arrives: both in one run, one ratio.

    python -m benchmarks.upload_latency --megabytes 2048
    python -m benchmarks.upload_latency --megabytes 200 --route uploads    in pieces, by tus

The upload is no archive, so that nothing is imported at its end: what is measured is the receiving alone. The client
that sends lives in a process of its own.
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
PIECE = MIB
GAP_S = 0.01
LEAST_SAMPLES = 100


def pieces(megabytes: int, *, before: bytes = b"", after: bytes = b"") -> Iterator[bytes]:
    yield before
    block = bytes(PIECE)
    for _ in range(megabytes):
        yield block
    yield after


def send(base_url: str, megabytes: int, route: str) -> None:
    """Send zeros, as a form or in one PATCH."""
    with httpx2.Client(base_url=base_url, timeout=None) as client:
        if route == "upload":
            boundary = "benchmark"
            head = (
                f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="zeros.zip"\r\n'
                "Content-Type: application/zip\r\n\r\n"
            )
            body = pieces(megabytes, before=head.encode(), after=f"\r\n--{boundary}--\r\n".encode())
            headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
            client.post("/api/cv/upload", content=body, headers=headers)
            return
        tus = {"Tus-Resumable": "1.0.0"}
        length = str(megabytes * MIB + 1)  # one byte short at the end: no job begins
        place = client.post("/api/cv/uploads", headers={**tus, "Upload-Length": length}).headers["Location"]
        headers = {**tus, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        client.patch(place, content=pieces(megabytes), headers=headers)
        client.delete(place, headers=tus)


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
    chosen = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with running_service() as client:
        for _ in range(20):
            sample(client)
        calm = [_paced(client) for _ in range(LEAST_SAMPLES * 2)]
        sender = context.Process(target=send, args=(str(client.base_url), chosen.megabytes, chosen.route))
        started = time.perf_counter()
        sender.start()
        busy = []
        while sender.is_alive():
            busy.append(_paced(client))
        seconds = time.perf_counter() - started
    quiet, loaded = summary(calm), summary(busy)
    print(
        json.dumps(
            {
                "route": chosen.route,
                "megabytes": chosen.megabytes,
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
