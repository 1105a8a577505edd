"""Waiting for what other threads and processes do, and how long a promise in seconds may take on a machine that is busy.

Tests wait for a condition, with patience: a machine that does six things at once has made a process wait for ten times
as long as a quiet one. A limit here only keeps a broken product from hanging the suite; it proves nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

PATIENCE_S = 90.0
POLL_S = 0.02
SPIN_S = 0.3  # of the processor: longer than the turn that a process is given on a full machine

T = TypeVar("T")


def wait_until(fact: Callable[[], T], what: str = "the condition", *, timeout_s: float = PATIENCE_S) -> T:
    """The first true answer.

    Raises:
        AssertionError: there was none within that time; says what was waited for and the last answer.
    """
    end = time.monotonic() + timeout_s
    while not (found := fact()):
        assert time.monotonic() < end, f"not within {timeout_s:.0f} s: {what} (last: {found!r})"
        time.sleep(POLL_S)
    return found


def slowness() -> float:
    """How many times longer than on a quiet machine work takes now: wall time by processor time, 1 or more.

    For promises in seconds ("cancelled within 5 s"): `assert taken < 5 * slowness()`. On a quiet machine that is the
    promise itself. Measured after the fact, when what made it slow is still there.
    """
    began, spent = time.monotonic(), time.thread_time()
    while time.thread_time() - spent < SPIN_S:
        pass
    return max(1.0, (time.monotonic() - began) / SPIN_S)


class Meanwhile:
    """As `slowness`, of the time that a block takes: what made it slow may have gone when the block has ended.

    A thread spins for a hundredth of a second of the processor, ten times a second, and looks how long that took.
    """

    def __init__(self) -> None:
        self._over = threading.Event()
        self._wall = self._spent = 0.0
        self._thread = threading.Thread(target=self._watch, name="meanwhile", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def slowness(self) -> float:
        """How many times longer than on a quiet machine work took, or takes now; 1 or more."""
        return max(slowness(), self._wall / self._spent if self._spent else 1.0)

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            began, spent = time.monotonic(), time.thread_time()
            while time.thread_time() - spent < 0.01:
                pass
            self._wall += time.monotonic() - began
            self._spent += time.thread_time() - spent


def has_ended(process_id: int) -> bool:
    """Whether a process is gone, or dead and only not yet collected by its parent."""
    try:
        return "\nState:\tZ" in (Path("/proc") / str(process_id) / "status").read_text()
    except OSError:
        return True
