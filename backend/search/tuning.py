"""The thorough trial: a whole network is trained.

It never starts from the head of its own probe: that head has learned from the validation images, on which a fine-tune
is stopped, kept and ranked. `engine.trainer` solves a new head on the training images alone.
"""

from __future__ import annotations

import logging
import time

import numpy as np

from backend.contracts import Candidate, EpochRecord, FinetuneSettings, Preprocessing, RunControl
from backend.data.augmentation_catalogue import chosen_augmentations
from backend.engine.arithmetic import at_once
from backend.engine.batches import Inputs, Pixels, TrainingData
from backend.engine.features import predict_probabilities
from backend.engine.judging import JudgedBy
from backend.engine.memory import halving
from backend.engine.network import Network, count_parameters, create_network
from backend.engine.partial import (
    BATCH_SIZE,
    Cut,
    FrozenBelow,
    ViewsSize,
    bytes_per_view,
    compute_activations,
    find_cut,
    stages_beyond,
)
from backend.engine.schedule import count_trainable, freeze_below_head
from backend.engine.trainer import FinetuneOutcome, FinetunePlan, finetune
from backend.search.best_epochs import keep_where_wanted
from backend.search.probing import actual, size_mb
from backend.search.study import Study
from backend.search.trial import TrainedModel, Trial
from backend.search.watch import TrialWatch

log = logging.getLogger(__name__)

MOST_MEMORY = 1_500_000_000  # bytes of kept activations; beyond, the early stages see every batch anew
LEAST_VIEWS = 3  # beside the plain one; fewer would be learned by heart
HEAD_KEPT = "No epoch of training the whole network beat the solved head that it began with, so that was kept."


def run_finetune(study: Study, candidate: Candidate, *, epochs: int, watch: TrialWatch) -> Trial:
    """Train the whole network; the best epoch on validation is kept."""
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
    preprocessing = study.preprocessing(network)
    images = study.images(preprocessing)
    outcome, moved = _train(study, network, preprocessing, epochs=epochs, watch=watch)
    seconds = time.perf_counter() - started
    watch.stage("predicting the test images")
    # not what training saw of its validation images, in bfloat16: thresholds and calibration are for what is served
    held_out, test = (
        predict_probabilities(network, images, preprocessing=preprocessing, places=places, control=study.control)
        for places in (study.val, study.test)
    )
    trial = Trial(
        candidate=actual(candidate, network),
        strategy="finetune",
        reason=outcome.stopped_early or (HEAD_KEPT if outcome.best_epoch == 0 else None),
        held_out=held_out,
        test_probabilities=test,
        history=outcome.history,
        best_epoch=outcome.best_epoch,
        train_seconds=seconds,
        predict_ms_per_image=watch.predict_ms(network, images, preprocessing),
        parameters=count_parameters(network),
        trainable=moved,
        size_mb=size_mb(network),
        model=TrainedModel(network=network, preprocessing=preprocessing, features=None),
    )
    keep_where_wanted(study, trial)  # while it ran, a file held what trained; now it holds the whole network
    return trial


def _train(
    study: Study, network: Network, preprocessing: Preprocessing, *, epochs: int, watch: TrialWatch
) -> tuple[FinetuneOutcome, int]:
    """Train what is to train; how it ended, and how many weights moved."""
    recipe, settings = study.recipe, study.recipe.finetune
    inputs = Pixels(
        images=study.images(preprocessing),
        preprocessing=preprocessing,
        device=network.device,
        rows=study.learnable,
        augmentations=chosen_augmentations(recipe),
        rand_magnitude=settings.rand_magnitude,
    )
    cut = _cut_for(network, settings)
    if cut is not None:
        watch.stage("computing early stages")
    data = TrainingData(
        inputs=inputs if cut is None else _through_early_stages(study, cut, inputs, control=watch.control),
        targets=study.targets[study.learnable],
        train=np.arange(len(study.train)),
        val=np.arange(len(study.train), len(study.learnable)),
        balanced=study.balanced,
    )
    plan = FinetunePlan(
        num_epochs=epochs,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        loss=recipe.loss,
        judged_by=judged_by(study),
        keep_in=study.checkpoint_folder(network.spec.name),
    )
    watch.stage("fine-tuning", epochs=epochs)

    def on_epoch(record: EpochRecord) -> None:
        watch.epoch(record, epochs=epochs)

    trained = network if cut is None else cut.trained_part()
    moved = _count_moved(trained, settings)
    log.info(
        "parameters",
        extra={"network": network.spec.name, "total": count_parameters(network), "trainable": moved},
    )
    outcome = finetune(trained, data, settings=settings, plan=plan, control=watch.control, on_epoch=on_epoch)
    if cut is not None:
        cut.take_back(trained)
    return outcome, moved


def judged_by(study: Study) -> JudgedBy:
    """What chooses the epoch where a picture has one class; of several labels macro-F1 always does.

    In preset defects macro-F1 too, unless accuracy was asked for: it is for the rare kinds, and accuracy is high where
    none of them is found.
    """
    for_the_rare = study.recipe.preset == "defects" and study.recipe.rank_by == "auto"
    return "macro_f1" if for_the_rare or study.ranked_by == "macro_f1" else "accuracy"


def _cut_for(network: Network, settings: FinetuneSettings) -> Cut | None:
    """Where the network is cut, so that its early stages are computed once; None where all of it trains."""
    if not settings.frozen_stride:
        return None
    return find_cut(network, trained=stages_beyond(network, settings.frozen_stride), exact=True)


def _count_moved(network: Network, settings: FinetuneSettings) -> int:
    """Weights that the fine-tune of what trains will move, of all that a step could reach."""
    if not settings.freeze_backbone:
        return count_parameters(network)
    freeze_below_head(network, frozen=True, but_attention=True)
    moved = count_trainable(network)
    freeze_below_head(network, frozen=False)
    return moved


def _through_early_stages(study: Study, cut: Cut, pixels: Pixels, *, control: RunControl) -> Inputs:
    """What the frozen stages make of the images: kept in memory where it fits, with as many random views as fit.

    With flips alone there are four views of an image, so five kept ones (the plain one first) lose nothing to chance.
    """
    count = len(study.learnable)
    most = MOST_MEMORY // (count * bytes_per_view(cut, pixels)) - 1
    if most < LEAST_VIEWS:
        return FrozenBelow(pixels, cut)
    views = min(study.recipe.refine.views, most) if pixels.augmentations or pixels.rand_magnitude else 0

    def compute(batch_size: int) -> Inputs:
        size = ViewsSize(count=count, views=views, batch_size=batch_size)
        return compute_activations(pixels, cut, size=size, seed=study.recipe.seed, control=control)

    how = pixels.preprocessing
    batch_size = at_once(BATCH_SIZE, height=how.height, width=how.width)
    return halving(compute, batch_size, what=f"the early stages of {cut.network.spec.name}")
