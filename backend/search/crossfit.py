"""Cross-fitting of a fine-tune: each part of the images is answered by a network that did not learn from it.

It knows networks and inputs, not what is decided from the answers.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from backend.contracts import EpochRecord
from backend.data.targets import is_multilabel
from backend.engine.batches import TrainingData
from backend.engine.finetune_plan import FinetuneOutcome, FinetunePlan, outcome_of, written
from backend.engine.head_inputs import head_inputs
from backend.engine.linear import grouped_folds
from backend.engine.metrics import accuracy, log_loss
from backend.engine.reference import distances_between
from backend.engine.trainer import finetune

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from backend.contracts import FinetuneSettings, RunControl
    from backend.data.targets import Targets
    from backend.engine.batches import Inputs
    from backend.engine.network import Network
    from backend.engine.partial import Cut

    Floats = npt.NDArray[np.floating]
    Ints = npt.NDArray[np.integer]
    OnEpoch = Callable[[EpochRecord], None]

OUTCOME = "outcome"
TIMED_BATCHES = 2
MOST_COMPARED = 1000  # images on either side of a fold whose features are set against each other
# How much of the training is kept: on 100 to 300 images 0.75 was better than all of it by 0.5 points of test accuracy
# on average (four runs, so hardly more than chance); cross-validation chose 0.5 on 100 images, all of it on 300.
SHARES = (0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A fine-tune that can be run again and again, each time from the same start.

    Attributes:
        network: as it was loaded; no run changes it.
        cut: where it is cut, or None where all of it trains.
        inputs: what the part that trains reads at each of N places.
        targets: class index of each place [N], or its labels [N, C].
        groups: of each place [N]; a group stays on one side of every fold.
        features: what the head reads at each place [N, D].
        balanced: whether every class has the same say.
        fold_seed: how the places are dealt out; numbers that were chosen on some folds are judged on others.
        share: how much of the training is kept, 0..1.
        measures_distance: whether a cross-fit also says how far what it held out lies from what it learned from.
    """

    network: Network
    cut: Cut | None
    inputs: Inputs
    targets: Targets
    groups: Ints
    features: Floats
    balanced: bool
    settings: FinetuneSettings
    epochs: int
    batch_size: int
    seed: int
    fold_seed: int
    share: float = 1.0
    measures_distance: bool = False

    def start(self) -> Network:
        """A fresh copy of what trains."""
        if self.cut is not None:
            return self.cut.trained_part()
        return replace(self.network, module=copy.deepcopy(self.network.module))

    def finish(self, trained: Network) -> Network:
        """The whole network with the weights that were trained."""
        if self.cut is None:
            return trained
        whole = replace(self.network, module=copy.deepcopy(self.network.module))
        replace(self.cut, network=whole).take_back(trained)
        return whole

    def train(
        self, network: Network, learn: Ints, judge: Ints, *, control: RunControl, on_epoch: OnEpoch | None = None
    ) -> FinetuneOutcome:
        """Train on some places; the last epoch stays. The rates have come to rest then, so none is chosen by luck."""
        data = TrainingData(
            inputs=self.inputs,
            targets=self.targets,
            train=learn,
            val=judge,
            features=self.features,
            balanced=self.balanced,
        )
        plan = FinetunePlan(
            num_epochs=self.epochs,
            batch_size=self.batch_size,
            seed=self.seed,
            keep="last",
            blends=SHARES if len(judge) else (),
            share=self.share,
        )
        return finetune(network, data, settings=self.settings, plan=plan, control=control, on_epoch=on_epoch)

    def folds(self, count: int, *, judged: int) -> Iterator[tuple[Ints, Ints]]:
        """(learn, held out) of the first `judged` of `count` folds."""
        parts = grouped_folds(self.targets, folds=count, seed=self.fold_seed, groups=self.groups)
        for _, fold in zip(range(judged), parts, strict=False):
            yield fold

    def seconds_per_image(self, *, control: RunControl) -> float:
        """What one training step takes for one image, measured on a few batches of a network that is thrown away."""
        trial = replace(self, epochs=1, settings=self.settings.model_copy(update={"head": "train", "head_epochs": 0}))
        network, nothing = self.start(), np.zeros(0, dtype=np.int64)
        size = min(self.batch_size, len(self.targets))
        control = control.unwritten()
        trial.train(network, np.arange(size), nothing, control=control)  # the first is slower than all others
        learn = np.arange(min(TIMED_BATCHES * size, len(self.targets)))
        started = time.perf_counter()
        trial.train(network, learn, nothing, control=control)
        return (time.perf_counter() - started) / len(learn)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossFit:
    """Answers to places by networks that did not learn from them.

    Attributes:
        places: those that were held out once [H], in order.
        held_out: their probabilities [H, C] after the last epoch.
        share: how much of the training to keep, by the log-loss of all that was held out. What is held out was answered
            with the share that the other folds preferred.
        history: pooled over the folds, one record an epoch; of the training as a whole, whatever is kept of it.
        stopped: why it ended early, or None.
        distances: how far images that were held out lie from those learned from, where that was measured.
    """

    places: Ints
    held_out: Floats
    share: float
    history: tuple[EpochRecord, ...]
    stopped: str | None = None
    distances: Floats | None = None


@dataclass(slots=True)
class _Pool:
    places: list[Ints] = field(default_factory=list)
    outcomes: list[FinetuneOutcome] = field(default_factory=list)


def cross_fit(
    course: Course, *, folds: int, judged: int, control: RunControl, on_epoch: OnEpoch | None = None
) -> CrossFit:
    """Train once for each of the first `judged` of `folds` folds and answer what was held out.

    `on_epoch` hears the epochs of all folds, counted through.

    Raises:
        JobCancelled, DeadlineExceeded: through `control`, between batches.
    """
    pool = _Pool()
    for fold, (learn, judge) in enumerate(course.folds(folds, judged=judged)):

        def tell(record: EpochRecord, fold: int = fold) -> None:
            if on_epoch is not None and record.epoch:
                on_epoch(record.model_copy(update={"epoch": fold * course.epochs + record.epoch}))

        outcome = _remembered(course, learn, judge, control=control.at(f"fold {fold}"), on_epoch=tell)
        pool.places.append(judge)
        pool.outcomes.append(outcome)
        if outcome.stopped_early:
            break
    return _pooled(course, pool)


def _remembered(course: Course, learn: Ints, judge: Ints, *, control: RunControl, on_epoch: OnEpoch) -> FinetuneOutcome:
    """What a fold's training comes to, by the journal where an earlier attempt at the run has done it."""
    note = control.journal.recall(OUTCOME)
    if note is not None:
        outcome = outcome_of(note)
        for record in outcome.history:
            on_epoch(record)
        return outcome
    training = control.at("training")
    network = course.start()
    outcome = course.train(network, learn, judge, control=training, on_epoch=on_epoch)
    if course.measures_distance and not outcome.stopped_early:
        known, fresh = (
            head_inputs(network, course.inputs, part[:MOST_COMPARED], control=control) for part in (learn, judge)
        )
        outcome = replace(outcome, distances=distances_between(known, fresh).astype(np.float64))
    control.journal.note(OUTCOME, *written(outcome))
    training.journal.forget()
    return outcome


def _pooled(course: Course, pool: _Pool) -> CrossFit:
    places = np.concatenate(pool.places)
    order = np.argsort(places)
    targets = course.targets[places]
    records: list[EpochRecord] = []
    for epochs in zip(*(outcome.history for outcome in pool.outcomes), strict=False):
        index = len(records)
        answers = np.concatenate([outcome.by_epoch[index] for outcome in pool.outcomes])
        losses = [record.train_loss for record in epochs if record.train_loss is not None]
        records.append(
            EpochRecord(
                epoch=epochs[0].epoch,
                train_loss=float(np.mean(losses)) if losses else None,
                val_loss=log_loss(answers, targets),
                val_accuracy=accuracy(answers, targets),
            )
        )
    held_out = np.concatenate(
        [outcome.by_blend[_best_share(course, pool, without=fold)] for fold, outcome in enumerate(pool.outcomes)]
    )
    stopped = next((outcome.stopped_early for outcome in pool.outcomes if outcome.stopped_early), None)
    measured = [outcome.distances for outcome in pool.outcomes if outcome.distances is not None]
    return CrossFit(
        distances=np.concatenate(measured) if measured else None,
        places=places[order],
        held_out=held_out[order],
        share=_best_share(course, pool),
        history=tuple(records),
        stopped=stopped,
    )


def _best_share(course: Course, pool: _Pool, *, without: int | None = None) -> float:
    """The share of the training with the smallest log-loss on what was held out, of all folds or of all but one.

    All of it where only one part was held out: that part cannot both choose and judge.
    """
    folds = [fold for fold in range(len(pool.places)) if fold != without]
    if len(pool.places) == 1:
        return 1.0
    targets = course.targets[np.concatenate([pool.places[fold] for fold in folds])]
    several = is_multilabel(targets)
    weights = 1.0 / np.bincount(targets)[targets] if course.balanced and not several else None

    def loss(share: float) -> float:
        answers = np.concatenate([pool.outcomes[fold].by_blend[share] for fold in folds])
        return log_loss(answers, targets, weights=weights)

    return min(SHARES, key=loss)
