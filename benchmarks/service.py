"""The real service, API and worker in processes of their own, in a fresh data folder, driven over HTTP as a user would.

It starts, warms up and stops the service and times a job; it does not know what is compared.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.environments import environment
from benchmarks.parts import ROOT
from benchmarks.ports import free_port

POLL_S = 0.1
FINAL = {"succeeded", "failed", "cancelled"}


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds from the call of `train/start` to the first finished network, and to the results; what they were."""

    first_row: float
    total: float
    results: dict[str, Any]


@contextlib.contextmanager
def running_service(*command: str, **settings: str) -> Iterator[httpx2.Client]:
    """A client of a service that is ready; MLflow and all else as by default, the hubs left alone.

    `settings`: environment variables beside those of the folder and the port.
    """
    with tempfile.TemporaryDirectory() as folder:
        port, log = free_port(), Path(folder) / "log.txt"
        variables = environment(SIGHTGLASS_DATA_DIR=f"{folder}/data", SIGHTGLASS_PORT=str(port), **settings)
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, *(command or ("run_backend.py",))], cwd=ROOT, env=variables, stdout=file, stderr=file
            )
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
                wait_until_ready(client, process, log)
                yield client
        finally:
            process.terminate()
            process.wait(60)


def warm_up(client: httpx2.Client) -> None:
    """One small job on another set, with one network that the measured job has not: what each process pays once."""
    dataset = upload(client, ROOT / "sample_datasets" / "shapes.zip")
    train(client, {"dataset_id": dataset, "models": ["vit_tiny"]})


def upload(client: httpx2.Client, archive: Path) -> str:
    """The new dataset's id."""
    with archive.open("rb") as file:
        answer = client.post("/api/cv/upload", files={"file": (archive.name, file, "application/zip")})
    answer.raise_for_status()
    return str(answer.json()["dataset_id"])


def train(client: httpx2.Client, recipe: dict[str, Any]) -> Times:
    """Run a job to its results.

    Raises:
        SystemExit: it did not succeed; says why.
    """
    started = time.perf_counter()
    answer = client.post("/api/cv/train/start", json=recipe)
    answer.raise_for_status()
    job_id, first_row = answer.json()["job_id"], float("nan")
    while True:
        job = client.get(f"/api/cv/jobs/{job_id}").json()
        done = [candidate for candidate in job["candidates"] if candidate["state"] == "succeeded"]
        if done and first_row != first_row:  # noqa: PLR0124 - true of a NaN alone
            first_row = time.perf_counter() - started
        if job["state"] in FINAL:
            break
        time.sleep(POLL_S)
    if job["state"] != "succeeded":
        raise SystemExit(f"The job {job['state']}: {job['error']}")
    results = client.get(f"/api/cv/jobs/{job_id}/results").json()
    return Times(first_row=first_row, total=time.perf_counter() - started, results=results)


def wait_until_ready(client: httpx2.Client, process: subprocess.Popen[bytes], log: Path, within: float = 240) -> None:
    end = time.monotonic() + within
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(httpx2.TransportError):
            if client.get("/ready").status_code == 200:
                return
        time.sleep(POLL_S)
    raise SystemExit(f"The service did not become ready:\n{log.read_text()[-3000:]}")
