"""The service with a stand-in for training, so that the queue and its watchers are measured and not the networks.

A job multiplies matrices for a tenth of a second an epoch, reports each batch as a training does, and says in its last
report how many it did. Each run of a job leaves a file below `ran/`.
"""

from __future__ import annotations

import os
import time

import numpy as np

from backend.config import Settings
from backend.contracts import CandidateProgress, Job, Progress, RunControl
from backend.main import run_worker, serve
from backend.workflows.train_images import JOB_KIND

EPOCH_S = 0.1
SIDE = 256  # of the matrices: a batch takes a few milliseconds, as with a small network


def stand_in(job: Job, *, control: RunControl, settings: Settings) -> None:
    ran = settings.data_dir / "ran"
    ran.mkdir(parents=True, exist_ok=True)
    (ran / f"{job.job_id}.{job.attempts}.{os.getpid()}.{time.monotonic_ns()}").touch()
    lasts_s = EPOCH_S * job.payload["num_epochs"]
    matrix = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    batches, started = 0, time.monotonic()
    while (gone := time.monotonic() - started) < lasts_s:
        control.check()
        for _ in range(4):
            matrix = np.tanh(matrix @ matrix)
        batches += 1
        row = CandidateProgress(name="stand-in", state="running", stage="batch", epoch=batches, epochs=batches + 1)
        control.report(Progress(stage="training", message="busy", progress=gone / lasts_s, candidate=row))
    done = CandidateProgress(name="stand-in", state="succeeded", epoch=batches, epochs=batches)
    control.report(Progress(stage="done", message=f"{batches} batches", progress=1.0, candidate=done))


def warm_nothing() -> None:
    """The stand-in needs nothing loaded."""


def worker(settings: Settings) -> None:
    run_worker(settings, handlers={JOB_KIND: stand_in}, warm_up=warm_nothing)


if __name__ == "__main__":
    serve(Settings(), worker=worker)
