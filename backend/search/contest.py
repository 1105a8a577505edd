"""The contest: every trial of a run as it comes in, and who leads. It tries networks; it never sees a test label."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from backend.contracts import Candidate, CandidateProgress, Progress, RunControl
from backend.search.baseline import run_baseline
from backend.search.candidates import cost
from backend.search.combine import combine
from backend.search.distributed import runner_for
from backend.search.leaderboard import rank
from backend.search.presets import allows_ensemble
from backend.search.screen import Screen
from backend.search.study import Study
from backend.search.trial import Trial
from backend.search.turns import Offer, Turn, Turns
from backend.search.watch import REFINED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.search.budget import Budget
    from backend.search.study import Ints
    from backend.tracking import Tracker

PREPARED, TRAINED = 0.05, 0.95  # shares of the progress bar at which trials begin and end
REFINED_AT = 0.4  # where the screen ends when fine-tunes follow: they take far longer


class Contest:
    """Trials as they come in. `notes` are sentences for the person who reads the results."""

    def __init__(self, study: Study, *, control: RunControl, tracker: Tracker, budget: Budget) -> None:
        self._study = study
        self._control = control
        self._budget = budget
        self._turns = Turns(study, control=control, tracker=tracker, runner=runner_for(control))
        self._trials: list[Trial] = []
        self.notes: list[str] = []

    @property
    def places(self) -> Ints:
        """The images that rank all: fewer than planned where the time ran out before anyone had seen them all."""
        seen = [trial.places for trial in self._trials if trial.usable and trial.places is not None]
        return max(seen, key=len) if seen else self._study.ranking

    def ranking(self) -> list[Trial]:
        """All trials so far, best first, the baseline among them."""
        places = self.places
        baseline = run_baseline(self._study, places)
        return rank([baseline, *self._trials], self._study.targets[places], by=self._study.ranked_by)

    def run(self, candidates: list[Candidate]) -> list[Trial]:
        """Everything between the images and the ranking."""
        for candidate in candidates:
            waiting = CandidateProgress(name=candidate.name)
            self._control.report(Progress(stage="training", message="Networks are queued", candidate=waiting))
        if self._study.recipe.strategy == "finetune":
            self._finetune(candidates)
        else:
            end = REFINED_AT if self._study.depth.refined else TRAINED
            self._trials = Screen(self._study, self._turns, budget=self._budget, span=(PREPARED, end)).run(candidates)
            self._refine(span=(end, TRAINED))
        if allows_ensemble(self._study.recipe):
            self._combine()
        return self.ranking()

    def _finetune(self, candidates: list[Candidate]) -> None:
        """Train every network as a whole, for as many epochs as the recipe says."""
        total, epochs = sum(cost(candidate) for candidate in candidates), self._study.recipe.num_epochs

        def offers() -> Iterator[Offer]:
            reached = PREPARED
            for candidate in candidates:
                begin, reached = reached, reached + (TRAINED - PREPARED) * cost(candidate) / total
                must = not any(trial.usable for trial in self._trials)
                turn = Turn(candidate=candidate, strategy="finetune", share=(begin, reached), must=must)
                yield turn, partial(self._turns.runner.finetune, self._study, candidate, epochs=epochs)

        for _, trial in self._turns.take_all(offers()):
            self._keep(self._turns.close(trial))

    def _refine(self, *, span: tuple[float, float]) -> None:
        """Fine-tune the networks of the best probes; one that cross-validation does not prefer is discarded."""
        probes = [trial for trial in self.ranking() if trial.strategy == "probe" and trial.usable]
        chosen = probes[: self._study.depth.refined]
        width = (span[1] - span[0]) / max(1, len(chosen))

        def offers() -> Iterator[Offer]:
            for number, probe in enumerate(chosen):
                named = probe.candidate.model_copy(update={"name": f"{probe.candidate.name}{REFINED}"})
                begin = span[0] + number * width
                turn = Turn(candidate=named, strategy="finetune", share=(begin, begin + width))
                # numbers are searched for the best alone: eight cross-validated fine-tunes take minutes
                depth = self._study.depth if number == 0 else replace(self._study.depth, tuning_trials=0)
                yield turn, partial(self._turns.runner.refine, self._study, probe.candidate, probe=probe, depth=depth)

        for turn, trial in self._turns.take_all(offers()):
            named = trial.candidate.model_copy(update={"name": turn.candidate.name})
            self._keep(self._turns.close(replace(trial, candidate=named)))

    def _combine(self) -> None:
        places = self.places
        able = [trial for trial in self._trials if trial.usable]
        combination = combine(able, self._study.targets[places], by=self._study.ranked_by, seed=self._study.recipe.seed)
        if combination.kept:
            self._trials.append(self._turns.close(combination.as_trial()))
        else:
            self.notes.append(combination.reason)

    def _keep(self, trial: Trial) -> None:
        """Hold the networks that may still be needed: the leader's, and all of them where they may answer together."""
        self._trials.append(trial)
        if allows_ensemble(self._study.recipe):
            return
        best = next((one for one in self.ranking() if one.usable), None)
        self._trials = [
            one if one is best or one.build is not None else self._turns.let_model_go(one) for one in self._trials
        ]
