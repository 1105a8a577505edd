"""`sightglass worker`: the workers of this machine without an API, for an installation of several machines."""

from __future__ import annotations

import signal
import socket
import threading
from typing import Annotated

import typer

from backend.cli.console import FAILED, answers, complain, read_settings
from backend.errors import UnavailableError
from backend.execution.pools import check_executor
from backend.execution.supervisor import KeptProcess

SILENT_AFTER_S = 20.0  # ten missed signs of life


def worker(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether a worker of this machine is alive; exit code 1 if not.")
    ] = False,
) -> None:
    """Work on the jobs of SIGHTGLASS_DATABASE_URL until Ctrl-C or TERM; a worker that dies is started again."""
    settings = read_settings()
    if check:
        _check(settings.resolved_database_url)
        return
    from backend.main import prepare, run_worker

    check_executor(settings)  # here and in `prepare`, where it is one sentence and an exit code
    prepare(settings)
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: told.set())
    with KeptProcess(run_worker, settings, name="sightglass-worker"):
        answers().print("Working on jobs. Ctrl-C stops.")
        told.wait()


def _check(database_url: str) -> None:
    from backend.jobs.presence import Presence
    from backend.storage.database import Database

    database = Database(database_url)
    try:
        silence = Presence(database).silence_s(host=socket.gethostname())
    except UnavailableError as error:
        complain(error.detail)
        raise typer.Exit(FAILED) from error
    finally:
        database.close()
    if silence is None or silence > SILENT_AFTER_S:
        complain(f"No worker of '{socket.gethostname()}' has been heard of for {SILENT_AFTER_S:.0f} s.")
        raise typer.Exit(FAILED)
    answers().print(f"A worker of '{socket.gethostname()}' was heard of {silence:.0f} s ago.")
