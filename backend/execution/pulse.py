"""Signs of life of a child process, in a piece of memory that it shares with its parent. It ends nothing itself.

Two clocks: `active` moves whenever the job looks whether it is to go on, or reports; `beating` moves every two seconds
as long as the process runs Python at all. A parent that lives says nothing of a child that hangs: these do.
"""

from __future__ import annotations

import threading
import time
from multiprocessing.context import SpawnContext
from typing import Any

BEAT_S = 2.0
# Sixty beats. A library that holds Python's lock, or a machine that swaps, was never seen to take a tenth of it.
SILENT_AFTER_S = 120.0
# Loading what the first job needs took up to a minute on a busy machine; it is no part of the job.
WARM_UP_S = 300.0
ACTIVE, BEATING, BEGUN = 0, 1, 2


class Pulse:
    """Made by the parent, handed to the child, read by the parent. CLOCK_MONOTONIC is the same in both."""

    def __init__(self, context: SpawnContext) -> None:
        now = time.monotonic()
        # Eight aligned bytes are written at once, and no slot has two writers at the same time: no lock.
        self._times: Any = context.RawArray("d", [now, now, 0.0])

    def touch(self) -> None:
        """The job looks, or reports: it is getting on. Costs well under a microsecond; called every batch."""
        self._times[ACTIVE] = time.monotonic()

    def start(self) -> None:
        """Beat from a thread of the child, until the process ends."""
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()

    def renew(self) -> None:
        """The parent hands a job over; the child may still be loading."""
        self._times[BEGUN] = 0.0
        self._times[ACTIVE] = self._times[BEATING] = time.monotonic()

    def begin(self) -> None:
        """The child takes the job up."""
        self.touch()
        self._times[BEGUN] = 1.0

    def trouble(self, *, stuck_after_s: float) -> str | None:
        """Why the child is to be given up, in words; None while it lives."""
        now = time.monotonic()
        silent, idle = now - self._times[BEATING], now - self._times[ACTIVE]
        if silent > SILENT_AFTER_S:
            return f"its process has been frozen for {silent:.0f} s"
        if idle > (stuck_after_s if self._times[BEGUN] else max(stuck_after_s, WARM_UP_S)):
            return f"it gave no sign of life for {idle:.0f} s (SIGHTGLASS_STUCK_AFTER_S is {stuck_after_s:.0f})"
        return None

    def _beat(self) -> None:
        while True:
            self._times[BEATING] = time.monotonic()
            time.sleep(BEAT_S)
