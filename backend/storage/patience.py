"""Doing something again while a part of the service does not answer, where a job can wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from backend.contracts import Progress, RunControl
from backend.errors import UnavailableError

T = TypeVar("T")

# A job that ran for an hour does not fail because the storage is away for some minutes.
PATIENCE_S = 600.0
LONGEST_PAUSE_S = 30.0


def patiently(action: Callable[[], T], control: RunControl | None) -> T:
    """Do it, and again while the storage does not answer, where a job can wait for it."""
    end, pause_s = time.monotonic() + PATIENCE_S, 1.0
    while True:
        try:
            return action()
        except UnavailableError as error:
            if control is None or time.monotonic() >= end:
                raise
            control.report(Progress(stage="storing", message=f"Waiting: {error.detail}"))
            _wait(pause_s, control)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _wait(seconds: float, control: RunControl) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        control.check()
        time.sleep(0.2)
