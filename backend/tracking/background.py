"""A thread that takes steps in order, so that whoever hands them over never waits. Knows nothing of what they do.

The first step that fails ends the work: later steps are dropped, because they build on it and each might time out anew.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

Step = Callable[[], None]


class BackgroundSteps:
    """Steps run one after another in a daemon thread, which starts with the first step and ends with `close`."""

    def __init__(self, name: str) -> None:
        self._steps: queue.SimpleQueue[Step | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._failure: Exception | None = None

    @property
    def failure(self) -> Exception | None:
        """What the first failed step raised."""
        return self._failure

    def submit(self, step: Step) -> None:
        """Hand a step over; returns at once."""
        self._steps.put(step)
        if self._thread.ident is None:
            self._thread.start()

    def drop_waiting(self) -> None:
        """Forget the steps that have not begun."""
        while True:
            try:
                self._steps.get_nowait()
            except queue.Empty:
                return

    def close(self, *, timeout_s: float) -> bool:
        """Let the thread end after the steps handed over so far; True if that came to pass within the time."""
        self._steps.put(None)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (step := self._steps.get()) is not None:
            if self._failure is None:
                self._take(step)

    def _take(self, step: Step) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the thread's edge: stores fail in their drivers' own ways, kept here
            self._failure = error
            # The class only: a store's message may hold a password.
            log.warning("a background step failed", extra={"steps": self._thread.name, "error": type(error).__name__})
