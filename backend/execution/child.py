"""What a child process does: warm up once, then run one job after the other and tell the parent how each ended.

It does not know where jobs come from. It leaves with its parent: a parent that was killed cannot stop its children,
so each child watches for that itself.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Event
from typing import Any

from backend.config import Settings
from backend.contracts import Job, Progress, RunControl
from backend.errors import JobCancelled, SightglassError
from backend.execution.logs import configure_logging
from backend.execution.native import prepare_native_libraries
from backend.execution.pools import open_pool
from backend.execution.protocol import Handler, Outcome
from backend.execution.pulse import Pulse
from backend.execution.trace import work_for

logger = logging.getLogger(__name__)

# Yields the processor to the API: with the same priority, health answers wait for training's time slices.
NICENESS = 10

Task = tuple[Handler, Job]


@dataclass(frozen=True)
class Line:
    """What joins a child with its parent: jobs and reports, the wish to stop, signs of life."""

    connection: Connection[Any, Any]
    cancel: Event
    pulse: Pulse


def serve_jobs(line: Line, settings: Settings, warm_up: Callable[[], None]) -> None:
    """The child's main function: runs until it is sent None or its parent is gone."""
    stay_with_parent()
    line.pulse.start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    lower_priority()
    prepare_native_libraries()
    configure_logging(settings.log_level, log_format=settings.log_format)
    warm_quietly(warm_up)
    while (task := line.connection.recv()) is not None:
        handler, job = task
        line.pulse.begin()
        with work_for(job_id=job.job_id, request_id=job.request_id):
            outcome = _run(handler, job, _control(line), settings)
        line.connection.send(outcome)


def stay_with_parent(leave: Callable[[], None] | None = None) -> None:
    """Call `leave` as soon as the parent process has ended, however that came; without it, end at once."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        if leave is None:
            os._exit(1)
        leave()

    threading.Thread(target=watch, name="stay-with-parent", daemon=True).start()


def lower_priority() -> None:
    if hasattr(os, "nice"):
        os.nice(NICENESS)


def warm_quietly(warm_up: Callable[[], None]) -> None:
    """Load what the first job will need. A failure is logged only: the job that meets it again will say it better."""
    try:
        warm_up()
    except Exception:
        logger.exception("warming up failed")


def _control(line: Line) -> RunControl:
    lock = threading.Lock()  # a handler may report from several threads; the pipe takes one at a time

    def report(progress: Progress) -> None:
        line.pulse.touch()
        left = control.deadline.remaining()
        if progress.budget_left_s is None and left != float("inf"):
            progress = progress.model_copy(update={"budget_left_s": left})
        with lock:
            line.connection.send(progress)

    def cancelled() -> bool:
        line.pulse.touch()
        return line.cancel.is_set()

    control = RunControl(report=report, cancelled=cancelled)
    return control


def _run(handler: Handler, job: Job, control: RunControl, settings: Settings) -> Outcome:
    """Run one job. The worker's edge: whatever goes wrong becomes an outcome."""
    try:
        with open_pool(settings) as control.pool:
            said = handler(job, control=control, settings=settings)
    except JobCancelled:
        return Outcome(state="cancelled")
    except SightglassError as error:
        return Outcome(state="failed", detail=error.detail)
    except Exception as error:
        logger.exception("job failed", extra={"job_id": job.job_id, "kind": job.kind})
        return Outcome(
            state="failed",
            detail=f"An unexpected error ended the job: {type(error).__name__}: {error}. The log has the details.",
        )
    return Outcome(state="succeeded", detail=said or "")
