"""The service with a stand-in for training: it keeps every core busy and listens to its control, as training does."""

import numpy as np

from backend.config import Settings
from backend.contracts import CandidateProgress, Progress
from backend.main import run_worker, serve
from backend.workflows.train_images import JOB_KIND


def keep_cores_busy(job, *, control, settings):
    row = CandidateProgress(name="stand-in", state="running", stage="busy")
    control.report(Progress(stage="training", message="busy", progress=0.1, candidate=row))
    matrix = np.random.default_rng(job.payload["seed"]).random((1500, 1500), dtype=np.float32)
    while True:
        control.check()
        matrix = np.tanh(matrix @ matrix)


def warm_nothing():
    """The stand-in needs nothing loaded."""


def worker(settings):
    run_worker(settings, handlers={JOB_KIND: keep_cores_busy}, warm_up=warm_nothing)


if __name__ == "__main__":
    serve(Settings(), worker=worker)
