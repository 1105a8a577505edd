"""The contest: every trial of a run as it comes in, and who leads. It tries networks; it never sees a test label."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backend.contracts import Candidate, CandidateProgress, Progress, RunControl, TrialStrategy
from backend.errors import DeadlineExceeded, Interruption, SightglassError
from backend.search.candidates import cost
from backend.search.leaderboard import preview, rank, ranking_metric
from backend.search.probing import run_baseline, run_probe
from backend.search.study import Study
from backend.search.trial import Trial
from backend.search.tuning import run_finetune
from backend.search.watch import TrialControl, TrialWatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.contracts.run import CandidateState
    from backend.tracking import Tracker

log = logging.getLogger(__name__)

PREPARED, TRAINED = 0.05, 0.95  # shares of the progress bar at which trials begin and end
NO_GAIN = "Training the whole network did not beat its last layer alone, so it was discarded; the probe stands."
STATES: Final[dict[str, CandidateState]] = {"ok": "succeeded", "skipped": "skipped", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class _Turn:
    """A network and how it is tried: probed, or fine-tuned for so many epochs, beside its probe where it `refines`."""

    candidate: Candidate
    epochs: int | None
    refines: bool = False


class Contest:
    """Trials as they come in. Holds one trained network: the best so far."""

    def __init__(self, study: Study, *, control: RunControl, tracker: Tracker) -> None:
        self._study = study
        self._control = control
        self._tracker = tracker
        self._trials: list[Trial] = [run_baseline(study)]
        self._targets = study.targets[study.ranking]
        self.metric = ranking_metric(list(study.dataset.info.class_counts.values()))

    def ranking(self) -> list[Trial]:
        """All trials so far, best first."""
        return rank(self._trials, self._targets, by=self.metric)

    def screen(self, candidates: list[Candidate]) -> None:
        """Try every candidate by the recipe's strategy, cheapest first."""
        for candidate in candidates:
            waiting = CandidateProgress(name=candidate.name)
            self._control.report(Progress(stage="training", message="Networks are queued", candidate=waiting))
        recipe = self._study.recipe
        epochs = recipe.num_epochs if recipe.strategy == "finetune" else None
        end = PREPARED + (TRAINED - PREPARED) / (1 + self._study.refined)
        self._try_all([_Turn(candidate, epochs) for candidate in candidates], span=(PREPARED, end))

    def refine(self) -> None:
        """Fine-tune the networks of the best probes; a fine-tune that does worse loses to its probe by rank."""
        count = self._study.refined
        probes = [trial for trial in self.ranking() if trial.strategy == "probe" and trial.status == "ok"]
        turns = [_Turn(trial.candidate, self._study.refine_epochs, refines=True) for trial in probes[:count]]
        begin = PREPARED + (TRAINED - PREPARED) / (1 + count)
        self._try_all(turns, span=(begin, TRAINED))

    def _try_all(self, turns: Sequence[_Turn], *, span: tuple[float, float]) -> None:
        begin, end = span
        total = sum(cost(turn.candidate) for turn in turns)
        for turn in turns:
            reached = begin + (end - span[0]) * cost(turn.candidate) / total
            self._try(turn, share=(begin, reached))
            begin = reached

    def _try(self, turn: _Turn, *, share: tuple[float, float]) -> None:
        candidate = turn.candidate
        # the first network finishes whatever the budget says: a run that ends with nothing helps nobody
        first = not any(trial.model is not None for trial in self._trials)
        control = self._control if first else TrialControl(self._control)
        watch = TrialWatch(candidate, control=control, share=share)
        if turn.refines:
            candidate = candidate.model_copy(update={"name": f"{candidate.name}:refined"})
            watch.rename(candidate.name)
        trial = self._run_trial(candidate, turn.epochs, watch=watch)
        if turn.refines and trial.best_epoch == 0:
            trial = trial.discarded(NO_GAIN)  # what is left is its probe, with fewer images to learn from
        self._keep(trial)
        row = preview(trial, self._targets)
        self._tracker.candidate(row, trial.history, {"strategy": trial.strategy, "family": trial.candidate.family})
        watch.done(STATES[trial.status], score=row.val_accuracy, reason=trial.reason)

    def _run_trial(self, candidate: Candidate, epochs: int | None, *, watch: TrialWatch) -> Trial:
        strategy: TrialStrategy = "probe" if epochs is None else "finetune"
        try:
            if epochs is None:
                return run_probe(self._study, candidate, watch=watch)
            return run_finetune(self._study, candidate, epochs=epochs, watch=watch)
        except DeadlineExceeded:
            reason = (
                f"The time budget of {self._study.recipe.time_budget_s or 0:g} s was used up before its turn ended."
            )
            return Trial(candidate=candidate, strategy=strategy, status="skipped", reason=reason)
        except Interruption:
            raise
        except Exception as error:  # the trial's edge: one network's failure is a row, not the end of the run
            log.exception("trial failed", extra={"candidate": candidate.name})
            return Trial(candidate=candidate, strategy=strategy, status="failed", reason=_sentence(error))

    def _keep(self, trial: Trial) -> None:
        self._trials.append(trial)
        best = next((one for one in self.ranking() if one.model is not None), None)
        self._trials = [one if one is best else one.without_model() for one in self._trials]


def _sentence(error: Exception) -> str:
    if isinstance(error, SightglassError):
        return error.detail
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "Not enough memory for this network; try a smaller one or a smaller batch_size."
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
