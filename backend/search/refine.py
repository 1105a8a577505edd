"""The refinement: the last stages of a probed network are trained, and kept only where cross-validation prefers them.

The network's early stages stay as they are, and what they make of the images is computed once (`engine.partial`); a
network that cannot be cut so trains as a whole. Every learnable image is answered by a network that did not learn from
it, so that probe and refinement stand side by side. The network that is saved learns from all of them.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from backend.contracts import EpochRecord, FinetuneSettings
from backend.contracts.journal import decided
from backend.data.augmentation_catalogue import chosen_augmentations
from backend.engine.batches import Pixels
from backend.engine.features import predict_probabilities
from backend.engine.memory import halving
from backend.engine.network import count_parameters, create_network
from backend.engine.partial import (
    BATCH_SIZE,
    Activations,
    FrozenBelow,
    ViewsSize,
    bytes_per_view,
    compute_activations,
    find_cut,
)
from backend.errors import DeadlineExceeded
from backend.search.budget import Budget, DoesNotFit
from backend.search.crossfit import Course, cross_fit
from backend.search.gate import judge
from backend.search.hyper import tune
from backend.search.presets import time_budget
from backend.search.probing import actual, size_mb
from backend.search.trial import TrainedModel, Trial

if TYPE_CHECKING:
    import numpy.typing as npt

    from backend.contracts import Candidate, Preprocessing, RunControl
    from backend.engine.batches import Inputs
    from backend.engine.network import Network
    from backend.engine.partial import Cut
    from backend.search.presets import Depth
    from backend.search.study import Study
    from backend.search.watch import TrialWatch

    Ints = npt.NDArray[np.integer]

MANY_IMAGES = 2000  # above, one held-out fifth judges as surely as folds do, at a fraction of the time
HELD_OUT_PARTS = 5
MOST_MEMORY = 1_500_000_000  # bytes of activations; beyond, fewer views, then none kept
LEAST_EPOCHS = 2
# Steps that a refinement takes at least, where that needs at most three times the preset's epochs: a hundred images are
# six steps an epoch, and the first fifty only undo what the solved head had.
LEAST_STEPS, MOST_TIMES = 150, 3
VIEWS_SHARE = 0.3  # of the time left, for what the early stages see; training on it takes far longer
MARGIN = 1.1  # estimates err
VALIDATION = 0.4  # of what a training step takes; measured 0.2 to 0.35
TUNING_SHARE = 0.25  # of the time that is left over; the other networks want their turns too
SOLVE_S = 1.0  # a head's solution; 0.2 to 1 s on a few hundred images
MIXING = {"mixup_alpha": 0.2, "cutmix_alpha": 1.0, "rand_magnitude": 5}  # where the preset mixes and nobody said


def run_refinement(study: Study, candidate: Candidate, *, probe: Trial, depth: Depth, watch: TrialWatch) -> Trial:
    """Fine-tune a probed network; a trial that is discarded says why, with the numbers of both.

    Raises:
        DoesNotFit: no way of judging it fits the time that is left; the detail has the estimate in seconds.
        JobCancelled, DeadlineExceeded: through `watch.control`, between batches.
    """
    started = time.perf_counter()
    watch.stage("loading")
    network = create_network(
        watch.spec,
        num_classes=study.num_classes,
        settings=study.settings,
        seed=study.recipe.seed,
        pooling=study.recipe.model.pooling,
    )
    network.task = study.task
    places = study.ranking if probe.places is None else probe.places
    work = _Refinement(study=study, network=network, places=places, depth=depth, watch=watch)
    plan = work.prepare(probe)
    watch.tries(plan.words)
    told = _Telling(watch, epochs=plan.course.epochs * (plan.judged + 1))
    course = replace(plan.course, measures_distance=True)
    fit = cross_fit(course, folds=plan.folds, judged=plan.judged, control=watch.control, on_epoch=told.cross)
    if fit.stopped:
        raise DeadlineExceeded(fit.stopped)
    verdict = judge(fit.held_out, _held_out(probe)[fit.places], plan.course.targets[fit.places], by=study.ranked_by)
    trial = Trial(
        candidate=actual(candidate, network),
        strategy="finetune",
        tried=plan.words,
        train_images=len(places),
        held_out=_with_probe(probe, fit.places, fit.held_out),
        fresh_distances=fit.distances,
        places=places,
        history=fit.history,
        best_epoch=plan.course.epochs,
        train_seconds=time.perf_counter() - started,
        parameters=count_parameters(network),
        size_mb=size_mb(network),
    )
    if not verdict.kept:
        return trial.discarded(verdict.reason)
    trained = plan.course.start()
    nothing = np.zeros(0, dtype=np.int64)
    course = replace(plan.course, share=fit.share)
    course.train(trained, np.arange(len(places)), nothing, control=watch.control.at("final"), on_epoch=told.last)
    trial = replace(trial, reason=verdict.reason, train_seconds=time.perf_counter() - started)
    return work.answered(trial, course.finish(trained))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is trained, and how it is judged: by the first `judged` of `folds` folds. `found`: how its numbers were."""

    course: Course
    folds: int
    judged: int
    found: str | None = None

    @property
    def words(self) -> str:
        """What is tried, for the leaderboard's row."""
        cut = self.course.cut
        part = "all stages" if cut is None else "last stage" if cut.trained == 1 else f"last {cut.trained} stages"
        how = f"{self.folds}-fold cross-validation" if self.judged > 1 else f"one part in {self.folds} held out"
        return ", ".join([part, f"{self.course.epochs} epochs", how, *([self.found] if self.found else [])])

    def seconds(self, per_image: float) -> float:
        """What judging and the final training take, at so many seconds for a step on one image."""
        images = len(self.course.targets)
        trained = images * (self.judged * (self.folds - 1) / self.folds + 1)
        validated = VALIDATION * images * self.judged / self.folds
        return self.course.epochs * per_image * (trained + validated) + SOLVE_S * (self.judged + 1)


@dataclass(frozen=True, kw_only=True)
class _Refinement:
    """What one refinement shares between its steps."""

    study: Study
    network: Network
    places: Ints
    depth: Depth
    watch: TrialWatch

    @property
    def control(self) -> RunControl:
        return self.watch.control

    @property
    def preprocessing(self) -> Preprocessing:
        return self.study.preprocessing(self.network)

    @property
    def budget(self) -> Budget:
        return Budget(deadline=self.control.deadline, total=time_budget(self.study.recipe))

    def prepare(self, probe: Trial) -> Plan:
        """What is trained, with which numbers, and how it is judged within the time.

        Raises:
            DoesNotFit: nothing fits.
        """
        study, refine = self.study, self.study.recipe.refine
        if probe.features_of is None:
            raise ValueError("a probe knows its features")
        cut = find_cut(self.network, trained=refine.trained_stages)
        settings = self._settings(cut)
        self.watch.stage("computing early stages" if cut else "fine-tuning")
        course = Course(
            network=self.network,
            cut=cut,
            inputs=self._inputs(cut, settings),
            targets=study.targets[self.places],
            groups=study.groups[self.places],
            features=probe.features_of(self.places),
            balanced=study.balanced,
            settings=settings,
            epochs=self._epochs(),
            batch_size=study.recipe.batch_size,
            seed=study.recipe.seed,
            fold_seed=study.recipe.seed,
        )
        plans = self._plans(course, folds=refine.folds)
        chosen, spare = decided(self.control.journal, "plan", lambda: self._within_time(plans))
        plan = plans[chosen]
        return self._tuned(plan, seconds=spare) if self.depth.tuning_trials > 1 else plan

    def _epochs(self) -> int:
        """The preset's; more where the images are few."""
        a_pass = math.ceil(len(self.places) / self.study.recipe.batch_size)
        return min(max(self.depth.epochs, math.ceil(LEAST_STEPS / a_pass)), MOST_TIMES * self.depth.epochs)

    def _settings(self, cut: Cut | None) -> FinetuneSettings:
        """The recipe's; what it left open becomes what suits a cut network and the preset."""
        recipe = self.study.recipe
        update: dict[str, float] = {} if cut is None else {"backbone_lr": recipe.refine.learning_rate}
        update |= MIXING if self.depth.mixing else {}
        chosen = {key.removeprefix("finetune.") for key in recipe.overrides}
        open_ones = {key: value for key, value in update.items() if key not in chosen}
        return recipe.finetune.model_copy(update=open_ones)

    def _inputs(self, cut: Cut | None, settings: FinetuneSettings) -> Inputs:
        """Pixels, or what the early stages make of them: kept in memory, with fewer views where it is short."""
        recipe = self.study.recipe
        pixels = Pixels(
            images=self.study.images(self.preprocessing),
            preprocessing=self.preprocessing,
            device=self.network.device,
            rows=self.places,
            augmentations=chosen_augmentations(recipe),
            rand_magnitude=settings.rand_magnitude,
        )
        if cut is None:
            return pixels
        count = len(self.places)
        most = MOST_MEMORY // (count * bytes_per_view(cut, pixels)) - 1
        if most < 0:
            return FrozenBelow(pixels, cut)
        in_time = decided(self.control.journal, "views", lambda: self._views_in_time(cut, pixels))
        views = min(recipe.refine.views, most, in_time)

        def compute(batch_size: int) -> Activations:
            size = ViewsSize(count=count, views=views, batch_size=batch_size)
            return compute_activations(pixels, cut, size=size, seed=recipe.seed, control=self.control)

        return halving(compute, BATCH_SIZE, what=f"the early stages of {self.network.spec.name}")

    def _views_in_time(self, cut: Cut, pixels: Pixels) -> int:
        """How many random views take at most a share of the time that is left.

        Raises:
            DoesNotFit: the plain one alone takes more.
        """
        left = self.budget.left()
        if math.isinf(left):
            return self.study.recipe.refine.views
        few = np.arange(min(BATCH_SIZE, len(self.places)))
        started = time.perf_counter()
        FrozenBelow(pixels, cut).training(few, torch.Generator())
        view = (time.perf_counter() - started) / len(few) * len(self.places)
        if view > left * VIEWS_SHARE:
            raise DoesNotFit(
                f"The early stages alone would take about {view:.0f} s of the {left:.0f} s that are left. A larger "
                "time budget (time_budget_s) makes room."
            )
        return int(left * VIEWS_SHARE / view) - 1

    def _plans(self, course: Course, *, folds: int) -> tuple[Plan, ...]:
        """Ways of judging, the most careful first: fewer folds before fewer epochs."""
        single = Plan(course=course, folds=HELD_OUT_PARTS, judged=1)
        plans = (
            [single] if len(course.targets) > MANY_IMAGES else [Plan(course=course, folds=folds, judged=folds), single]
        )
        shorter = replace(course, epochs=max(LEAST_EPOCHS, course.epochs // 2))
        return (*plans, *(replace(plan, course=shorter) for plan in plans))

    def _within_time(self, plans: tuple[Plan, ...]) -> tuple[int, float]:
        """The place of the first plan that fits, and the seconds that it leaves over."""
        left = self.budget.left()
        if math.isinf(left):
            return 0, left
        course = plans[0].course
        per_image = course.seconds_per_image(control=self.control)
        test = len(self.study.test) * self._prediction_seconds()
        for place, plan in enumerate(plans):
            need = test + MARGIN * plan.seconds(per_image)
            if need <= left:
                return place, left - need
        raise DoesNotFit(
            self.budget.refusal("A refinement", need) or "A refinement does not fit the time that is left."
        )

    def _tuned(self, plan: Plan, *, seconds: float) -> Plan:
        """The same plan with the numbers that Optuna finds, on other folds than those that judge them."""
        self.watch.stage("searching settings")
        course = plan.course
        other = replace(course, fold_seed=course.fold_seed + 1)
        found = tune(
            other,
            trials=self.depth.tuning_trials,
            folds=plan.folds,
            seconds=seconds * TUNING_SHARE,
            control=self.control.at("tuning"),
        )
        return replace(plan, course=replace(course, settings=found.course.settings), found=found.words)

    def _prediction_seconds(self) -> float:
        """What one test image takes, in the arithmetic that serves."""
        images, few = self.study.images(self.preprocessing), self.places[:8]
        started = time.perf_counter()
        predict_probabilities(self.network, images, preprocessing=self.preprocessing, places=few, control=self.control)
        return (time.perf_counter() - started) / len(few)

    def answered(self, trial: Trial, network: Network) -> Trial:
        """The trial with the final network and its answers to the test images, unscored."""
        study, preprocessing = self.study, self.preprocessing
        self.watch.stage("predicting the test images")
        images = study.images(preprocessing)
        test = predict_probabilities(
            network, images, preprocessing=preprocessing, places=study.test, control=self.control
        )
        return replace(
            trial,
            test_probabilities=test,
            predict_ms_per_image=self.watch.predict_ms(network, images, preprocessing),
            model=TrainedModel(network=network, preprocessing=preprocessing, features=None),
        )


class _Telling:
    """Counts the epochs of all folds and of the final network through, for the progress bar."""

    def __init__(self, watch: TrialWatch, *, epochs: int) -> None:
        self._watch = watch
        self._epochs = epochs
        self._reached = 0

    def cross(self, record: EpochRecord) -> None:
        self._reached = record.epoch
        self._watch.epoch(record, epochs=self._epochs)

    def last(self, record: EpochRecord) -> None:
        if record.epoch:
            self.cross(record.model_copy(update={"epoch": min(self._epochs, self._reached + 1)}))


def _held_out(probe: Trial) -> npt.NDArray[np.floating]:
    if probe.held_out is None:
        raise ValueError("a probe has held-out answers")
    return probe.held_out


def _with_probe(probe: Trial, places: Ints, answers: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Held-out answers for all places: where only a part was held out, the probe's stand for the rest."""
    held_out = _held_out(probe).copy()
    held_out[places] = answers
    return held_out
