"""The contest: every trial of a run as it comes in, and who leads. It tries networks; it never sees a test label."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from backend.contracts import Candidate, CandidateProgress, Progress, RunControl, TrialStrategy
from backend.errors import DeadlineExceeded, Interruption, SightglassError
from backend.search.candidates import cost
from backend.search.leaderboard import preview, rank, ranking_metric
from backend.search.probing import run_baseline, run_probe
from backend.search.study import Study
from backend.search.trial import Trial
from backend.search.tuning import Start, run_finetune
from backend.search.watch import TrialControl, TrialWatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.contracts.run import CandidateState
    from backend.tracking import Tracker

log = logging.getLogger(__name__)

PREPARED, TRAINED = 0.05, 0.95  # shares of the progress bar at which trials begin and end
STATES: Final[dict[str, CandidateState]] = {"ok": "succeeded", "skipped": "skipped", "failed": "failed"}


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
        finetune = self._study.recipe.strategy == "finetune"
        start = Start(epochs=self._study.recipe.num_epochs) if finetune else None
        end = PREPARED + (TRAINED - PREPARED) / (1 + self._study.refined)
        self._try_all([(candidate, start) for candidate in candidates], span=(PREPARED, end))

    def refine(self) -> None:
        """Fine-tune the most promising probes from their heads; one that gets worse loses to its probe by rank."""
        count = self._study.refined
        probes = [trial for trial in self.ranking() if trial.head is not None][:count]
        starts = [Start(epochs=self._study.refine_epochs, head=trial.head) for trial in probes]
        begin = PREPARED + (TRAINED - PREPARED) / (1 + count)
        pairs = list(zip((trial.candidate for trial in probes), starts, strict=True))
        self._try_all(pairs, span=(begin, TRAINED))

    def _try_all(self, pairs: Sequence[tuple[Candidate, Start | None]], *, span: tuple[float, float]) -> None:
        begin, end = span
        total = sum(cost(candidate) for candidate, _ in pairs)
        for candidate, start in pairs:
            reached = begin + (end - span[0]) * cost(candidate) / total
            self._try(candidate, start, share=(begin, reached))
            begin = reached

    def _try(self, candidate: Candidate, start: Start | None, *, share: tuple[float, float]) -> None:
        # the first network finishes whatever the budget says: a run that ends with nothing helps nobody
        first = not any(trial.model is not None for trial in self._trials)
        control = self._control if first else TrialControl(self._control)
        watch = TrialWatch(candidate, control=control, share=share)
        if start is not None and start.head is not None:
            candidate = candidate.model_copy(update={"name": f"{candidate.name}:refined"})
            watch.rename(candidate.name)
        trial = self._run_trial(candidate, start, watch=watch)
        self._keep(trial)
        row = preview(trial, self._targets)
        self._tracker.candidate(row, trial.history, {"strategy": trial.strategy, "family": trial.candidate.family})
        watch.done(STATES[trial.status], score=row.val_accuracy, reason=trial.reason)

    def _run_trial(self, candidate: Candidate, start: Start | None, *, watch: TrialWatch) -> Trial:
        strategy: TrialStrategy = "probe" if start is None else "finetune"
        try:
            if start is None:
                return run_probe(self._study, candidate, watch=watch)
            return run_finetune(self._study, candidate, start=start, watch=watch)
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
