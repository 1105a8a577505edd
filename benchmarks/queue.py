"""`python -m benchmarks.queue`: 50 jobs from 10 clients with /health beside them, and what ten watchers cost a trainer.

Both sides of each ratio are measured in one run. Training is stood in for (`queue_service.py`).
"""

from __future__ import annotations

import collections
import contextlib
import io
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import httpx2
from PIL import Image

from benchmarks.environments import environment
from benchmarks.parts import ROOT
from benchmarks.ports import free_port
from benchmarks.queue_service import EPOCH_S
from benchmarks.service import FINAL, wait_until_ready

CLIENTS, JOBS, WATCHERS = 10, 50, 10
ROUNDS, ROUND_S = 4, 5.0
HEALTH_EVERY_S = 0.02
STARTS_WITHIN_S = 120.0


@contextlib.contextmanager
def services(count: int, **variables: str) -> Iterator[tuple[list[httpx2.Client], Path]]:
    """Clients of so many services on one data folder, each an API with its workers; and the folder."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        clients = []
        for number in range(count):
            port, log = free_port(), Path(folder) / f"log-{number}.txt"
            more = {"SIGHTGLASS_DATA_DIR": f"{folder}/data", "SIGHTGLASS_PORT": str(port), **variables}
            command = [sys.executable, "-m", "benchmarks.queue_service"]
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(**more),
                stdout=stack.enter_context(log.open("wb")),
                stderr=subprocess.STDOUT,
            )
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
            client = stack.enter_context(httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60))
            wait_until_ready(client, process, log)
            clients.append(client)
        yield clients, Path(folder) / "data"


def upload(client: httpx2.Client) -> str:
    """A small dataset's id."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for place, label in enumerate(("red", "blue")):
            for number in range(12):
                picture = io.BytesIO()
                Image.new("RGB", (32 + number, 32), (200 - number, number, 90 * place)).save(picture, "PNG")
                archive.writestr(f"{label}/{number}.png", picture.getvalue())
    answer = client.post("/api/cv/upload", files={"file": ("colours.zip", buffer.getvalue())})
    answer.raise_for_status()
    return str(answer.json()["dataset_id"])


def start(client: httpx2.Client, dataset_id: str, **recipe: object) -> str:
    answer = client.post("/api/cv/train/start", json={"dataset_id": dataset_id, **recipe})
    answer.raise_for_status()
    return str(answer.json()["job_id"])


def ask(addresses: list[str], over: Event, found: Connection) -> None:
    """Ask each address for /health until told to stop; sends the milliseconds of each answer."""
    times = []
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(httpx2.Client(base_url=address, timeout=30)) for address in addresses]
        found.send("asking")
        while not over.wait(HEALTH_EVERY_S):
            for client in clients:
                began = time.perf_counter()
                client.get("/health").raise_for_status()
                times.append((time.perf_counter() - began) * 1000)
    found.send(times)


@contextlib.contextmanager
def health_asked(clients: list[httpx2.Client]) -> Iterator[list[float]]:
    """Asks from a process of its own, so that it waits for the service and not for ten clients' threads.

    The list is filled when the block has ended.
    """
    context, times = multiprocessing.get_context("spawn"), []
    ours, theirs = context.Pipe()
    over = context.Event()
    process = context.Process(target=ask, args=([str(client.base_url) for client in clients], over, theirs))
    process.start()
    try:
        if not ours.poll(STARTS_WITHIN_S):
            raise SystemExit(f"The process that asks for /health did not start within {STARTS_WITHIN_S:.0f} s.")
        ours.recv()
        yield times
    finally:
        over.set()
        times += ours.recv() if ours.poll(STARTS_WITHIN_S) else []
        process.join(30)


def enqueue_all(clients: list[httpx2.Client], dataset_id: str) -> list[str]:
    """Fifty jobs at once, five from each of ten clients, the clients spread over the services."""

    def five(number: int) -> list[str]:
        own = clients[number % len(clients)]
        with httpx2.Client(base_url=own.base_url, timeout=60) as client:
            return [start(client, dataset_id, seed=number * 10 + n) for n in range(JOBS // CLIENTS)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [job_id for part in pool.map(five, range(CLIENTS)) for job_id in part]


def wait_for_all(client: httpx2.Client, job_ids: list[str], *, within_s: float = 240) -> dict[str, str]:
    """The final state of each job.

    Raises:
        SystemExit: some did not end in time.
    """
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        found = {job["job_id"]: job["state"] for job in client.get("/api/cv/jobs", params={"limit": 1000}).json()}
        if all(found.get(job_id) in FINAL for job_id in job_ids):
            return {job_id: found[job_id] for job_id in job_ids}
        time.sleep(0.25)
    raise SystemExit(f"Some of {len(job_ids)} jobs did not end within {within_s:.0f} s.")


def runs_of(data: Path) -> collections.Counter[str]:
    """How often each job was run, by the files that the stand-in leaves."""
    return collections.Counter(path.name.partition(".")[0] for path in (data / "ran").iterdir())


def many_jobs(count: int = 1) -> str:
    with services(count, SIGHTGLASS_CONCURRENT_JOBS="2") as (clients, data):
        dataset_id = upload(clients[0])
        with health_asked(clients) as times:
            began = time.perf_counter()
            job_ids = enqueue_all(clients, dataset_id)
            queued_s = time.perf_counter() - began
            states = collections.Counter(wait_for_all(clients[0], job_ids).values())
            seconds = time.perf_counter() - began
        runs = runs_of(data)
    once = sum(runs[job_id] == 1 for job_id in job_ids)
    return (
        f"{count} service(s): {JOBS} jobs from {CLIENTS} clients queued in {queued_s:.1f} s, ended in {seconds:.1f} s: "
        f"{dict(states)}, run exactly once: {once}; /health over {len(times)} asks: median "
        f"{statistics.median(times):.1f} ms, p95 {statistics.quantiles(times, n=20)[-1]:.1f} ms (goal: < 50), most "
        f"{max(times):.1f} ms"
    )


def batches_of(client: httpx2.Client, dataset_id: str, *, watchers: int) -> int:
    """Batches that the stand-in does in a round while so many watch its events."""
    job_id = start(client, dataset_id, num_epochs=round(ROUND_S / EPOCH_S))

    def watch() -> None:
        with httpx2.stream("GET", f"{client.base_url}/api/cv/jobs/{job_id}/events", timeout=60) as answer:
            for _ in answer.iter_lines():
                pass

    threads = [threading.Thread(target=watch, daemon=True) for _ in range(watchers)]
    for thread in threads:
        thread.start()
    wait_for_all(client, [job_id])
    for thread in threads:
        thread.join(30)
    return int(client.get(f"/api/cv/jobs/{job_id}").json()["candidates"][0]["epoch"])


def watched() -> str:
    """Alternating rounds, each side first in turn, so that whatever else the machine does falls on both."""
    with services(1) as ([client], _):
        dataset_id = upload(client)
        batches_of(client, dataset_id, watchers=0)  # warms up
        found: dict[int, list[int]] = {0: [], WATCHERS: []}
        for number in range(ROUNDS):
            for watchers in sorted(found, reverse=number % 2 == 1):
                found[watchers].append(batches_of(client, dataset_id, watchers=watchers))
    alone, seen = (statistics.median(side) for side in found.values())
    return (
        f"Trainer with 0 watchers: {alone / ROUND_S:.0f} batches/s, with {WATCHERS}: {seen / ROUND_S:.0f}; "
        f"ratio {seen / alone:.3f} (median of {ROUNDS} rounds of {ROUND_S:.0f} s each, alternating)"
    )


def main() -> None:
    print(many_jobs(1))
    print(many_jobs(2))
    print(watched())


if __name__ == "__main__":
    main()
