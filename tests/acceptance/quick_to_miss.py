"""The service as it is, with one thing changed: a worker that is silent is missed sooner than after 20 s."""

from backend.config import Settings
from backend.jobs import worker as worker_module
from backend.main import run_worker, serve

SILENT_S = 6.0


def worker(settings):
    worker_module.STALE_AFTER_S, worker_module.SWEEP_EVERY_S = SILENT_S, 0.5
    run_worker(settings)


if __name__ == "__main__":
    serve(Settings(), worker=worker)
