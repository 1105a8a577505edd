"""How long a job will still take, from how its share of work done has grown. Pure; knows nothing of what the work is.

The time to go is the share left times the seconds that a share takes. Those are a mix: one third from all that this
attempt has done, two thirds from its last part, which follows when a slow network comes after a quick one. Between two
reports the estimate counts down; when a step takes longer than it should, it stands still and does not pretend. It is
never longer than what is left of the time budget, beyond which no new work begins.
"""

from __future__ import annotations

from collections import deque

LEAST_SHARE = 0.02  # below that, one batch more or less would move the estimate by half
LEAST_S = 1.0  # nor does less time say anything: a run with its pictures at hand stands at 5% before it has begun
RECENT_SHARE = 0.15  # of the whole job: the last part, by which the pace is judged
RECENT_WEIGHT = 2.0 / 3.0
JUMP_SHARE, JUMP_S = 0.1, 1.0  # a tenth within a second was not computed but found: resumed, or in a cache
CLOSING_S = 10.0  # what may follow after the budget: reading the test images, writing the model


class Eta:
    """One attempt of one job; times are seconds of a clock that does not go back."""

    def __init__(self, *, started: float) -> None:
        self._marks: deque[tuple[float, float]] = deque([(started, 0.0)])  # when which share was reached
        self._first = (started, 0.0)

    def update(self, share: float, *, now: float, budget_left_s: float | None = None) -> float | None:
        """Seconds to go, or None where nothing can be said yet."""
        self._note(share, now)
        left = self._estimate(share, now)
        if left is None or budget_left_s is None:
            return left
        return min(left, budget_left_s + CLOSING_S)

    def _note(self, share: float, now: float) -> None:
        at, reached = self._marks[-1]
        if share <= reached:
            return
        if share - reached >= JUMP_SHARE and now - at <= JUMP_S:
            self._marks.clear()
            self._first = (now, share)
        self._marks.append((now, share))
        while len(self._marks) > 2 and share - self._marks[1][1] >= RECENT_SHARE:
            self._marks.popleft()

    def _estimate(self, share: float, now: float) -> float | None:
        (begun, base), (at, reached) = self._first, self._marks[-1]
        if reached - base < LEAST_SHARE or at - begun < LEAST_S:
            return None
        overall = (at - begun) / (reached - base)
        since, from_share = self._marks[0]
        recent = (at - since) / (reached - from_share) if reached > from_share else overall
        pace = RECENT_WEIGHT * recent + (1.0 - RECENT_WEIGHT) * overall
        expected = pace * (1.0 - max(share, reached))
        # The rest of this step runs down; a step that is late keeps half of what it had, so that zero means done.
        return max(expected - (now - at), expected / 2.0)
