"""The winner on disk: its features for familiarity, its metadata, its bundle, its answers to the test images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backend.contracts import ModelInfo, utc_now
from backend.engine.bundle import save_bundle
from backend.engine.environment import versions
from backend.engine.features import extract_features
from backend.engine.reference import Reference, build_reference
from backend.search.report import TestReading, answers
from backend.search.study import Study
from backend.search.trial import TrainedModel, Trial
from backend.storage.files import remove_tree

if TYPE_CHECKING:
    import numpy.typing as npt

    from backend.search.study import Ints


def save_winner(folder: Path, study: Study, winner: Trial, *, reading: TestReading, ids: tuple[str, str]) -> ModelInfo:
    """Write the bundle of the winning trial; the folder appears whole or not at all.

    A job that is run again after its worker was lost replaces the model that the first attempt may have left.
    """
    if winner.model is None:
        raise ValueError("a winner holds its network")
    info = _describe(study, winner, winner.model, reading=reading, ids=ids)
    reference = _reference(study, winner.model)
    if folder.exists():
        remove_tree(folder)
    network = winner.model.network
    save_bundle(folder, network, info=info, reference=reference, answers=answers(study, winner))
    return info


def _describe(
    study: Study, winner: Trial, model: TrainedModel, *, reading: TestReading, ids: tuple[str, str]
) -> ModelInfo:
    model_id, job_id = ids
    test = reading.evaluation.test
    return ModelInfo(
        model_id=model_id,
        dataset_id=study.dataset.info.dataset_id,
        job_id=job_id,
        name=winner.candidate.name,
        timm_name=winner.candidate.timm_name,
        strategy=winner.strategy,
        weights=winner.candidate.weights,
        weights_source=winner.candidate.weights_source,
        class_names=study.dataset.class_names,
        preprocessing=model.preprocessing,
        accuracy=test.accuracy,
        macro_f1=test.macro_f1,
        metrics={
            "test": test.model_dump(mode="json"),
            "per_class": [score.model_dump(mode="json") for score in reading.evaluation.per_class],
            "confusion_matrix": reading.evaluation.confusion_matrix.model_dump(mode="json"),
        },
        dataset_digest=study.dataset.info.digest,
        parameters=winner.parameters or 0,
        size_mb=winner.size_mb or 0.0,
        versions=versions(),
        created_at=utc_now().isoformat(),
    )


def _reference(study: Study, model: TrainedModel) -> Reference:
    places = np.arange(len(study.dataset.items)) if model.places is None else model.places
    features = model.features if model.features is not None else _features(study, model, places)
    training = np.isin(places, study.train)
    items = study.dataset.items
    return build_reference(
        features[training],
        features[np.isin(places, study.val)],
        image_ids=[items[place].image_id for place in places[training]],
        labels=[items[place].label for place in places[training]],
        seed=study.recipe.seed,
    )


def _features(study: Study, model: TrainedModel, places: Ints) -> npt.NDArray[np.float32]:
    images = study.images(model.preprocessing)
    return extract_features(
        model.network, images, preprocessing=model.preprocessing, places=places, control=study.control
    )
