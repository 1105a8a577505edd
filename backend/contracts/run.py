"""What a running stage is given: one callback for progress, one object for cancellation and the deadline.

No stage knows whether the CLI, a job or a notebook is listening.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Self

from backend.contracts.base import Record
from backend.contracts.journal import Journal, NullJournal
from backend.errors import DeadlineExceeded, JobCancelled

if TYPE_CHECKING:
    from backend.contracts.pool import TaskPool

CandidateState = Literal["queued", "running", "succeeded", "skipped", "failed"]


class CandidateProgress(Record):
    """Where one candidate stands. `score` is the best validation accuracy so far, `seconds` what it took so far.

    `tried` says in words what is being tried, as the leaderboard's row will; `reason` why it ended where it did.
    """

    name: str
    state: CandidateState = "queued"
    stage: str = "queued"
    epoch: int = 0
    epochs: int = 0
    score: float | None = None
    reason: str | None = None
    tried: str | None = None
    seconds: float | None = None


class Progress(Record):
    """One report. `progress` is the share of the whole job done, 0..1; None leaves the last value standing.

    `budget_left_s`: seconds until the deadline, where there is one. `eta_s`: seconds to go, from whoever knows better
    than the share done can tell.
    """

    stage: str
    message: str
    progress: float | None = None
    candidate: CandidateProgress | None = None
    budget_left_s: float | None = None
    eta_s: float | None = None


class Deadline:
    """A moment after which no new work begins. Monotonic: a change of the system clock does not move it."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left; infinity without a budget, never below 0."""
        return float("inf") if self._end is None else max(0.0, self._end - time.monotonic())

    def expired(self) -> bool:
        return self.remaining() <= 0.0

    def expire(self) -> None:
        """Let the moment be now, for all who hold this deadline."""
        self._end = time.monotonic()


class _Ending:
    """What all controls of one run share, whichever page they write on."""

    def __init__(self) -> None:
        self.something_to_keep = False
        self.early = False


class RunControl:
    """Progress out, cancellation and deadline in, and the journal's page of what runs under it.

    `pool` are machines that may be given work; None: this one alone.
    """

    def __init__(
        self,
        *,
        report: Callable[[Progress], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        deadline: Deadline | None = None,
        pool: TaskPool | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._report = report
        self._cancelled = cancelled
        self.deadline = deadline or Deadline(None)
        self.pool = pool
        self._ending = _Ending()
        self.journal: Journal = journal or NullJournal()

    def at(self, name: str) -> Self:
        """The same control for a piece of the work, which has a page of its own in the journal."""
        control = copy.copy(self)
        control.journal = self.journal.at(name)
        return control

    def unwritten(self) -> Self:
        """The same control for work that leaves no trace in the journal."""
        control = copy.copy(self)
        control.journal = NullJournal()
        return control

    def report(self, progress: Progress) -> None:
        self.journal.tick()
        if self._report is not None:
            self._report(progress)

    @property
    def ended_early(self) -> bool:
        """Whether somebody cancelled after there was something to keep."""
        return self._ending.early

    def keep_what_is_done(self) -> None:
        """From now on somebody who cancels ends the time for new work; what was reached is still put in order.

        `ended_early` tells that this has happened. Whoever runs the job gives that a few seconds and no more.
        """
        self._ending.something_to_keep = True

    def check(self) -> None:
        """Call between batches.

        Raises:
            JobCancelled: somebody asked to stop, and there is nothing worth keeping yet.
        """
        self.journal.tick()
        if self._cancelled is None or not (self.ended_early or self._cancelled()):
            return
        if not self._ending.something_to_keep:
            raise JobCancelled("The job was cancelled.")
        self._ending.early = True
        self.deadline.expire()

    def check_deadline(self) -> None:
        """Call where stopping early loses less than going on.

        Raises:
            JobCancelled: somebody asked to stop.
            DeadlineExceeded: the time budget is used up.
        """
        self.check()
        if self.deadline.expired():
            raise DeadlineExceeded("The job was cancelled." if self.ended_early else "The time budget is used up.")
