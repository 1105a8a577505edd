"""The thorough trial: a whole network is trained.

It never starts from the head of its own probe: that head has learned from the validation images, on which a fine-tune
is stopped, kept and ranked. `engine.trainer` solves a new head on the training images alone.
"""

from __future__ import annotations

import time

from backend.contracts import Candidate, EpochRecord, Preprocessing
from backend.data.augmentation_catalogue import chosen_augmentations
from backend.engine.batches import Pixels, TrainingData
from backend.engine.features import predict_probabilities
from backend.engine.network import Network, count_parameters, create_network
from backend.engine.trainer import FinetuneOutcome, FinetunePlan, finetune
from backend.search.probing import actual, size_mb
from backend.search.study import Study
from backend.search.trial import TrainedModel, Trial
from backend.search.watch import TrialWatch

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
    preprocessing = study.preprocessing(network)
    images = study.images(preprocessing)
    watch.stage("fine-tuning", epochs=epochs)
    outcome = _train(study, network, preprocessing, epochs=epochs, watch=watch)
    seconds = time.perf_counter() - started
    watch.stage("predicting the test images")
    test = predict_probabilities(network, images, preprocessing=preprocessing, places=study.test, control=study.control)
    return Trial(
        candidate=actual(candidate, network),
        strategy="finetune",
        reason=outcome.stopped_early or (HEAD_KEPT if outcome.best_epoch == 0 else None),
        held_out=outcome.val_probabilities,
        test_probabilities=test,
        history=outcome.history,
        best_epoch=outcome.best_epoch,
        train_seconds=seconds,
        predict_ms_per_image=watch.predict_ms(network, images, preprocessing),
        parameters=count_parameters(network),
        size_mb=size_mb(network),
        model=TrainedModel(network=network, preprocessing=preprocessing, features=None),
    )


def _train(
    study: Study, network: Network, preprocessing: Preprocessing, *, epochs: int, watch: TrialWatch
) -> FinetuneOutcome:
    recipe, settings = study.recipe, study.recipe.finetune
    inputs = Pixels(
        images=study.images(preprocessing),
        preprocessing=preprocessing,
        device=network.device,
        augmentations=chosen_augmentations(recipe),
        rand_magnitude=settings.rand_magnitude,
    )
    data = TrainingData(inputs=inputs, targets=study.targets, train=study.train, val=study.val, balanced=study.balanced)
    plan = FinetunePlan(num_epochs=epochs, batch_size=recipe.batch_size, seed=recipe.seed)

    def on_epoch(record: EpochRecord) -> None:
        watch.epoch(record, epochs=epochs)

    return finetune(network, data, settings=settings, plan=plan, control=watch.control, on_epoch=on_epoch)
