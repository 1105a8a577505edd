"""The winner on disk: its features for familiarity, its metadata, its bundle, its answers to the test images."""

from __future__ import annotations

from pathlib import Path

from backend.contracts import ModelInfo, TestPredictions, utc_now
from backend.engine.bundle import save_bundle
from backend.engine.environment import versions
from backend.engine.members import Member
from backend.engine.reference import Reference
from backend.search.reliability import reliability
from backend.search.report import TestReading, answers
from backend.search.study import Study
from backend.search.trial import TrainedModel, Trial
from backend.search.yardstick import yardstick
from backend.storage.files import remove_tree, remove_unfinished


def save_winner(folder: Path, study: Study, winner: Trial, *, reading: TestReading, ids: tuple[str, str]) -> ModelInfo:
    """Write the bundle of the winning trial, of an ensemble with all its members; it appears whole or not at all.

    A job that is run again after its worker was lost replaces the model, or half of one, that the first attempt may
    have left.
    """
    models = [(member.candidate.name, weight, _model_of(member)) for member, weight in winner.members]
    leader = models[0][2] if models else _model_of(winner)
    members = tuple(
        Member(name=name, network=model.network, preprocessing=model.preprocessing, weight=weight)
        for name, weight, model in models
    )
    info = _describe(study, winner, leader, reading=reading, ids=ids)
    info = info.model_copy(update={"members": tuple(member.described() for member in members)})
    reference = yardstick(study, winner, leader)
    told = answers(study, winner, thresholds=reading.thresholds)
    info = info.model_copy(update={"metrics": {**info.metrics, **_honest(reference, told)}})
    remove_tree(folder)
    remove_unfinished(folder)
    save_bundle(folder, leader.network, info=info, reference=reference, answers=told, members=members)
    return info


def _honest(reference: Reference, told: TestPredictions) -> dict[str, object]:
    """What its confidence has meant, and how surely it knows what it does not know."""
    return {
        "reliability": [band.model_dump(mode="json") for band in reliability(told)],
        "familiarity": {
            "false_alarms": reference.false_alarms,
            "measured_on": reference.measured_on,
            "known_images": len(reference.image_ids),
        },
    }


def _model_of(trial: Trial) -> TrainedModel:
    if trial.model is None:
        raise ValueError(f"'{trial.candidate.name}' is saved without its network")
    return trial.model


def _describe(
    study: Study, winner: Trial, model: TrainedModel, *, reading: TestReading, ids: tuple[str, str]
) -> ModelInfo:
    model_id, job_id = ids
    test = reading.evaluation.test
    return ModelInfo(
        model_id=model_id,
        dataset_id=study.dataset.info.dataset_id,
        dataset_version=study.dataset.info.version,
        job_id=job_id,
        name=winner.candidate.name,
        timm_name=winner.candidate.timm_name,
        strategy=winner.strategy,
        weights=winner.candidate.weights,
        weights_source=winner.candidate.weights_source,
        class_names=study.dataset.class_names,
        task=study.task,
        thresholds=reading.thresholds,
        preprocessing=model.preprocessing,
        accuracy=test.accuracy,
        macro_f1=test.macro_f1,
        metrics=reading.evaluation.as_json(),
        dataset_digest=study.dataset.info.digest,
        parameters=winner.parameters or 0,
        size_mb=winner.size_mb or 0.0,
        versions=versions(),
        created_at=utc_now().isoformat(),
    )
