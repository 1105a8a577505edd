"""One network's turn at a time: whatever happens in it becomes a trial, is shown, and is tracked. It ranks nothing."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from backend.contracts import Candidate, LeaderboardRow, TrialStrategy
from backend.engine.memory import is_out_of_memory
from backend.errors import DeadlineExceeded, Interruption, OutOfMemory, SightglassError
from backend.search.leaderboard import preview
from backend.search.trial import Trial
from backend.search.watch import TrialControl, TrialWatch

if TYPE_CHECKING:
    from backend.contracts import RunControl
    from backend.contracts.run import CandidateState
    from backend.search.study import Study
    from backend.tracking import Tracker

log = logging.getLogger(__name__)

NO_MEMORY = "Not enough memory for this network; try a smaller one or a smaller batch_size."
STATES: Final[dict[str, CandidateState]] = {"ok": "succeeded", "skipped": "skipped", "failed": "failed"}


class Work(Protocol):
    """What a turn does."""

    def __call__(self, *, watch: TrialWatch) -> Trial:
        """Try it, telling `watch` how it stands."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Whose turn it is, and its share of the job's progress bar, 0..1.

    `must` finishes whatever the budget says: a run that ends with nothing helps nobody.
    """

    candidate: Candidate
    strategy: TrialStrategy
    share: tuple[float, float]
    must: bool = False


class Turns:
    """Takes turns, shows them and hands their ends to the tracker."""

    def __init__(self, study: Study, *, control: RunControl, tracker: Tracker) -> None:
        self._study = study
        self._control = control
        self._tracker = tracker

    def take(self, turn: Turn, work: Work) -> Trial:
        """Do the work; a failure is a trial that says why. Cancellation alone goes through."""
        control = self._control if turn.must else TrialControl(self._control)
        watch = TrialWatch(turn.candidate, control=control, share=turn.share)
        started = time.perf_counter()
        trial = self._guarded(turn, work, watch=watch)
        if not trial.train_seconds:
            trial = replace(trial, train_seconds=time.perf_counter() - started)
        watch.wait(score=self._row(trial).val_accuracy)
        return trial

    def close(self, trial: Trial) -> Trial:
        """Show and track the end of a candidate's way."""
        row = self._row(trial)
        self._tracker.candidate(row, trial.history, {"strategy": trial.strategy, "family": trial.candidate.family})
        TrialWatch(trial.candidate, control=self._control).done(STATES[trial.status], row=row)
        return trial

    def _row(self, trial: Trial) -> LeaderboardRow:
        places = self._study.ranking if trial.places is None else trial.places
        return preview(trial, self._study.targets[places])

    def _guarded(self, turn: Turn, work: Work, *, watch: TrialWatch) -> Trial:
        try:
            return work(watch=watch)
        except (DeadlineExceeded, OutOfMemory) as error:
            return Trial(candidate=turn.candidate, strategy=turn.strategy, status="skipped", reason=error.detail)
        except Interruption:
            raise
        except Exception as error:  # the trial's edge: one network's failure is a row, not the end of the run
            if is_out_of_memory(error):
                return Trial(candidate=turn.candidate, strategy=turn.strategy, status="skipped", reason=NO_MEMORY)
            log.exception("trial failed", extra={"candidate": turn.candidate.name})
            return Trial(candidate=turn.candidate, strategy=turn.strategy, status="failed", reason=_sentence(error))


def _sentence(error: Exception) -> str:
    if isinstance(error, SightglassError):
        return error.detail
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
