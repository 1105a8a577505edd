"""The time budget as the search sees it: what is left once the end has its share. It knows no networks.

What must come last (reading the test images, building and saving the winner) is measured in no run beforehand, so a
share is reserved for it, and given back to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

from backend.contracts import Deadline
from backend.errors import DeadlineExceeded

RESERVED_S = 2.5  # building and saving a network took 0.3-2 s on two cores, ViT-Base the longest
RESERVED_SHARE = 0.04


class DoesNotFit(DeadlineExceeded):
    """Work would take more time than is left; the detail says how much."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Seconds of a run. `total` is None without a limit."""

    deadline: Deadline
    total: float | None

    @property
    def reserve(self) -> float:
        """Seconds kept for the end, at most a third of everything."""
        if self.total is None:
            return 0.0
        return min(RESERVED_S + RESERVED_SHARE * self.total, self.total / 3)

    def left(self) -> float:
        """Seconds for work that need not be done; infinity without a limit."""
        return max(0.0, self.deadline.remaining() - self.reserve)

    def refusal(self, work: str, seconds: float) -> str | None:
        """One sentence on why work of so many seconds does not fit, or None where it does."""
        left = self.left()
        if seconds <= left or self.total is None:
            return None
        return (
            f"{work} would take about {_words(seconds)}; {_words(left)} of the budget of {_words(self.total)} are "
            "left for it. A larger time budget (time_budget_s) makes room."
        )


def _words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
