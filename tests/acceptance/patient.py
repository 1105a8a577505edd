"""The service with a worker that gives a cancelled job half a minute: what is kept then is looked at, not how quickly."""

from backend.config import Settings
from backend.execution import local
from backend.main import run_worker, serve


def worker(settings):
    local.TERMINATE_AFTER_S, local.KILL_AFTER_S = 30.0, 40.0
    run_worker(settings)


if __name__ == "__main__":
    serve(Settings(), worker=worker)
