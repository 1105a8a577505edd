"""An executor on this machine: one warm child process, spawned, kept between jobs.

The child is a process because cancelling must always work: a thread that hangs in a library cannot be stopped.
It is spawned, not forked: forking a process that has threads (torch, SQLite) deadlocks sooner or later.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from typing import Any

from backend.config import Settings
from backend.contracts import Job, Progress
from backend.execution.child import Line, serve_jobs
from backend.execution.protocol import Handler, Outcome, Watch
from backend.execution.pulse import Pulse

logger = logging.getLogger(__name__)

POLL_S = 0.1
# A cancelled job is over within 5 s: 3.7 s to stop by itself and keep what it has, then TERM, and KILL where even that
# is not heard. A third of a second goes into hearing of the wish, the last half into writing the end down.
TERMINATE_AFTER_S = 3.7
KILL_AFTER_S = 4.2
FAREWELL_S = 1.0


@dataclass(frozen=True)
class _Child:
    process: SpawnProcess
    connection: Connection[Any, Any]
    cancel: Event
    pulse: Pulse


class LocalExecutor:
    """One job at a time in one warm child; for one thread. Not `ahead`: the child is started by the first job."""

    def __init__(self, settings: Settings, *, warm_up: Callable[[], None], ahead: bool = True) -> None:
        self._settings = settings
        self._ahead = ahead
        self._warm_up = warm_up
        self._context = multiprocessing.get_context("spawn")
        self._child: _Child | None = None

    def start(self) -> None:
        if self._ahead:
            self._ready_child()

    def run(self, handler: Handler, job: Job, *, watch: Watch) -> Outcome:
        child = self._ready_child()
        child.cancel.clear()
        child.pulse.renew()
        try:
            child.connection.send((handler, job))
        except OSError:  # it died since the last job; a fresh one takes over
            self._discard(child)
            child = self._ready_child()
            child.connection.send((handler, job))
        outcome = self._follow(child, watch, job_id=job.job_id)
        if outcome.state == "lost" or not child.process.is_alive():
            self._discard(child)
        return outcome

    def close(self) -> None:
        if self._child is not None:
            self._discard(self._child)

    def _ready_child(self) -> _Child:
        if self._child is not None and self._child.process.is_alive():
            return self._child
        if self._child is not None:
            self._discard(self._child)
        ours, theirs = self._context.Pipe()
        cancel, pulse = self._context.Event(), Pulse(self._context)
        line = Line(theirs, cancel, pulse)
        process = self._context.Process(
            target=serve_jobs, args=(line, self._settings, self._warm_up), name="sightglass-training"
        )
        process.start()
        theirs.close()  # so that the pipe ends when the child does
        self._child = _Child(process, ours, cancel, pulse)
        return self._child

    def _follow(self, child: _Child, watch: Watch, *, job_id: str) -> Outcome:
        """Pass progress on until the outcome comes; see to it that a cancelled child ends."""
        asked_at: float | None = None
        while not watch.stopped():
            try:
                message = child.connection.recv() if child.connection.poll(POLL_S) else None
            except (EOFError, OSError):
                return self._after_death(child, cancelled=asked_at is not None)
            if isinstance(message, Outcome):
                return message
            if isinstance(message, Progress):
                watch.report(message)
            if asked_at is None and watch.cancelled():
                asked_at = time.monotonic()
                child.cancel.set()
            if asked_at is not None:
                _press(child.process, time.monotonic() - asked_at)
            elif trouble := child.pulse.trouble(stuck_after_s=self._settings.stuck_after_s):
                logger.warning("child given up", extra={"job_id": job_id, "cause": trouble})
                return Outcome(state="lost", detail=trouble)
        return Outcome(state="lost", detail="the worker was shut down")

    def _after_death(self, child: _Child, *, cancelled: bool) -> Outcome:
        child.process.join(FAREWELL_S)
        if cancelled:
            return Outcome(state="cancelled")
        cause = _cause_of_death(child.process.exitcode)
        logger.warning("training process died", extra={"cause": cause})
        return Outcome(state="lost", detail=f"the training process ended unexpectedly ({cause})")

    def _discard(self, child: _Child) -> None:
        """Make sure the child is gone and nothing of it is left open."""
        child.cancel.set()
        if child.process.is_alive():
            child.process.terminate()
            child.process.join(FAREWELL_S)
        if child.process.is_alive():
            child.process.kill()
            child.process.join(FAREWELL_S)
        child.connection.close()
        if self._child is child:
            self._child = None


def _press(process: SpawnProcess, waited_s: float) -> None:
    if waited_s >= KILL_AFTER_S:
        process.kill()
    elif waited_s >= TERMINATE_AFTER_S:
        process.terminate()


def _cause_of_death(exit_code: int | None) -> str:
    if exit_code is None:
        return "cause unknown"
    if exit_code >= 0:
        return f"exit code {exit_code}"
    name = signal.Signals(-exit_code).name if -exit_code in signal.valid_signals() else str(-exit_code)
    if name != "SIGKILL":
        return name
    return f"{name}; most often the machine ran out of memory: smaller networks or a smaller batch_size need less"
