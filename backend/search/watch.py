"""How one trial tells where it stands, and how it is told to stop. It knows the plan's costs, not what is trained."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from backend.contracts import Candidate, CandidateProgress, EpochRecord, Progress, RunControl
from backend.engine.features import predict_probabilities
from backend.engine.models import ModelSpec, find_spec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from backend.contracts import LeaderboardRow, Preprocessing
    from backend.contracts.run import CandidateState
    from backend.engine.network import Network

TIMED_PREDICTIONS = 3
REFINED = ":refined"  # follows the name of a network that is fine-tuned beside its own probe


def shown_score(row: LeaderboardRow) -> float | None:
    """What is shown of a candidate on its way: validation accuracy, of several labels the mean average precision."""
    return row.val_accuracy if row.val_mean_average_precision is None else row.val_mean_average_precision


class TrialControl(RunControl):
    """A control whose every check also minds the deadline: the trial stops rather than overrun the budget."""

    def __init__(self, outer: RunControl) -> None:
        super().__init__(report=outer.report, cancelled=None, deadline=outer.deadline, journal=outer.journal)
        self._outer = outer

    def check(self) -> None:
        self._outer.check_deadline()


class TrialWatch:
    """Progress of one trial within the whole run: `share` is its part of the job's bar, 0..1; None leaves the bar."""

    def __init__(self, candidate: Candidate, *, control: RunControl, share: tuple[float, float] | None = None) -> None:
        self.control = control
        self.candidate = candidate
        self.share = share
        self._name = candidate.name
        self._started = time.perf_counter()
        self._state = CandidateProgress(name=candidate.name, state="running")

    @property
    def bounded(self) -> bool:
        """Whether the trial has to end with the time budget; else it finishes whatever that says."""
        return isinstance(self.control, TrialControl)

    @property
    def spec(self) -> ModelSpec:
        """The catalogue's entry of the network that is tried."""
        return find_spec(self._name.removesuffix(REFINED))

    def stage(self, stage: str, *, epochs: int = 0) -> None:
        self.control.check()
        self._publish(stage=stage, epochs=epochs or self._state.epochs)

    def epoch(self, record: EpochRecord, *, epochs: int) -> None:
        told = record.val_accuracy if record.val_macro_f1 is None else record.val_macro_f1  # what chooses the epoch
        best = max(self._state.score or 0.0, told or 0.0)
        self._publish(stage="fine-tuning", epoch=record.epoch, epochs=epochs, score=best)

    def tries(self, what: str) -> None:
        """Say in words what is being tried, as the leaderboard's row will."""
        self._publish(tried=what)

    def wait(self, *, score: float | None) -> None:
        """Show the score so far of a candidate whose way goes on later."""
        self._publish(stage="waiting for the others", score=score, last=True)

    def done(self, state: CandidateState, *, row: LeaderboardRow) -> None:
        """Show how it ended."""
        self._publish(
            stage="done" if state == "succeeded" else state,
            state=state,
            score=shown_score(row),
            reason=row.reason,
            tried=row.tried,
            seconds=row.train_seconds,
            last=True,
        )

    def predict_ms(self, network: Network, images: npt.NDArray[np.uint8], preprocessing: Preprocessing) -> float:
        """Median milliseconds for one image alone, after one call that warms up."""
        times = []
        for _ in range(TIMED_PREDICTIONS + 1):
            started = time.perf_counter()
            predict_probabilities(network, images[:1], preprocessing=preprocessing, control=self.control)
            times.append((time.perf_counter() - started) * 1000)
        return round(statistics.median(times[1:]), 2)

    def _publish(self, *, last: bool = False, **update: object) -> None:
        seconds = round(time.perf_counter() - self._started, 1)
        self._state = self._state.model_copy(update={"seconds": seconds, **update})
        begin, end = self.share or (0.0, 0.0)
        inner = 1.0 if last else self._inner()
        reached = begin + inner * (end - begin) if self.share else None
        message = f"{self._name} · {self._state.stage}"
        if self._state.epochs and not last:
            message += f", epoch {self._state.epoch} of {self._state.epochs}"
        progress = Progress(stage="training", message=message, progress=reached, candidate=self._state)
        self.control.report(progress)

    def _inner(self) -> float:
        return self._state.epoch / self._state.epochs if self._state.epochs else 0.0
