"""How many may wait: a full queue says so at once, and when to come again, instead of letting everybody time out.

Three bounds: a number, bytes in memory, and the time that a new one would wait at the speed seen last. It knows neither
processes nor pictures, and no clock: whoever asks says what time it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from backend.errors import BusyError

# A speed is what so many answers in so long a time show, while somebody waited throughout. Fewer show nothing: while a
# model is read from the disk for the first time nobody is answered for seconds, and then everybody at once.
SPEED_SPAN_S = 2.0
SPEED_ANSWERS = 8
# A queue this short is never refused by its speed, however slow a network is.
ALWAYS_TAKEN = 4
LONGEST_RETRY_S = 60


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The bounds of a queue."""

    waiting: int
    seconds: float
    megabytes: int


class Admission:
    """Counts who waits. Used from one thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.waiting = 0
        self.refused = 0
        self._bytes = 0
        self._since: float | None = None  # the beginning of what is counted; None: nobody waits
        self._answered = 0
        self._last = 0.0  # when somebody was answered, or began to wait for the first answer
        self._seconds_each: float | None = None

    def check(self, now: float) -> None:
        """Let one more in.

        Raises:
            BusyError: there is no room; it says after how many seconds there probably is.
        """
        wait_s = self.expected_wait_s(now)
        too_slow = self.waiting >= ALWAYS_TAKEN and wait_s > self._limits.seconds
        full = self.waiting >= self._limits.waiting or self._bytes >= self._limits.megabytes * 2**20
        if not full and not too_slow:
            return
        self.refused += 1
        retry = min(LONGEST_RETRY_S, max(1, math.ceil(wait_s / 2)))
        raise BusyError(
            f"{self.waiting} pictures wait for their prediction already; try again in {retry} s.", retry_after_s=retry
        )

    def enter(self, size: int, now: float) -> None:
        """One more waits, with so many bytes."""
        if self._since is None:
            self._since, self._answered, self._last = now, 0, now
        self.waiting += 1
        self._bytes += size

    def leave(self, size: int, now: float) -> None:
        """One was answered, or went away."""
        self.waiting -= 1
        self._bytes -= size
        self._answered += 1
        self._last = now
        if self.waiting == 0:  # the next flood may be of another model
            self._since = self._seconds_each = None
        elif self._since is not None and self._answered >= SPEED_ANSWERS and now - self._since >= SPEED_SPAN_S:
            self._seconds_each = (now - self._since) / self._answered
            self._since, self._answered = now, 0

    def expected_wait_s(self, now: float) -> float:
        """Seconds until a picture that came now would be answered; where no speed is known, the present silence."""
        if self._since is None:
            return 0.0
        return max(now - self._last, (self._seconds_each or 0.0) * self.waiting)
