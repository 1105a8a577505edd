"""The thorough trial: a whole network is trained, from a fresh head or from the head of its probe (LP-FT).

Starting from a solved head keeps good features from being distorted by a random one (Kumar et al. 2022,
"Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution").
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from backend.contracts import Candidate, EpochRecord
from backend.data.augmentation_catalogue import default_augmentations
from backend.engine.features import predict_probabilities
from backend.engine.network import Network, count_parameters, create_network
from backend.engine.probe import LinearHead, install_head
from backend.engine.trainer import FinetuneOutcome, FinetunePlan, TrainingData, finetune
from backend.search.probing import actual, size_mb
from backend.search.study import Study
from backend.search.trial import TrainedModel, Trial
from backend.search.watch import TrialWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a fine-tune begins: from a fresh head, or from the head that its probe solved."""

    epochs: int
    head: LinearHead | None = None


def run_finetune(study: Study, candidate: Candidate, *, start: Start, watch: TrialWatch) -> Trial:
    """Train the whole network; the best epoch on validation is kept."""
    started = time.perf_counter()
    watch.stage("loading")
    network = create_network(watch.spec, num_classes=study.num_classes, settings=study.settings, seed=study.recipe.seed)
    if start.head is not None:
        install_head(network, start.head)
    preprocessing = study.preprocessing(network)
    images = study.images(preprocessing)
    watch.stage("fine-tuning", epochs=start.epochs)
    outcome = _train(study, network, start=start, watch=watch)
    seconds = time.perf_counter() - started
    watch.stage("predicting the test images")
    test = predict_probabilities(network, images, preprocessing=preprocessing, places=study.test, control=study.control)
    return Trial(
        candidate=actual(candidate, network),
        strategy="finetune",
        reason=outcome.stopped_early,
        held_out=outcome.val_probabilities,
        test_probabilities=test,
        history=outcome.history,
        train_seconds=seconds,
        predict_ms_per_image=watch.predict_ms(network, images, preprocessing),
        parameters=count_parameters(network),
        size_mb=size_mb(network),
        model=TrainedModel(network=network, preprocessing=preprocessing, features=None),
    )


def _train(study: Study, network: Network, *, start: Start, watch: TrialWatch) -> FinetuneOutcome:
    recipe = study.recipe
    preprocessing = study.preprocessing(network)
    settings = recipe.finetune
    if start.head is not None:
        # the head is solved already; a gentle rate keeps what it knows
        settings = settings.model_copy(update={"head_epochs": 0, "head_lr": settings.backbone_lr})
    names = recipe.augmentations if recipe.augmentations is not None else default_augmentations()
    data = TrainingData(
        images=study.images(preprocessing),
        targets=study.targets,
        train=study.train,
        val=study.val,
        preprocessing=preprocessing,
    )
    plan = FinetunePlan(
        num_epochs=start.epochs, batch_size=recipe.batch_size, seed=recipe.seed, augmentations=tuple(names)
    )

    def on_epoch(record: EpochRecord) -> None:
        watch.epoch(record, epochs=start.epochs)

    return finetune(network, data, settings=settings, plan=plan, control=watch.control, on_epoch=on_epoch)
