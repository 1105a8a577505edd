"""The winner's training in short, from its trial and the recipe. It computes nothing."""

from __future__ import annotations

from typing import Any

from backend.contracts import LeaderboardRow
from backend.contracts.experiment import Experiment
from backend.search.best_epochs import best_epoch_of
from backend.search.study import Study
from backend.search.trial import Trial

SCORES = ("accuracy", "macro_f1", "mean_average_precision")


def experiment_of(study: Study, winner: Trial, row: LeaderboardRow) -> Experiment:
    """How the winner was trained; `row` is its own of the leaderboard."""
    validation = {name: getattr(row, f"val_{name}") for name in SCORES}
    trained = winner.strategy == "finetune" and not winner.members
    epochs = {record.epoch: record for record in winner.history}
    best = epochs.get(winner.best_epoch) if trained and winner.best_epoch is not None else None
    kept = best_epoch_of(study, winner)
    return Experiment(
        network=winner.candidate.name,
        timm_name=winner.candidate.timm_name,
        loss=loss_of(study) if trained else None,
        best_epoch=winner.best_epoch if trained else None,
        at_best_epoch=best.model_dump(exclude={"epoch"}) if best else None,
        best_validation={name: value for name, value in validation.items() if value is not None},
        checkpoint=None if kept is None else kept.filename,
        parameters=row.parameters,
        trainable_parameters=row.trainable_parameters,
    )


def loss_of(study: Study) -> dict[str, Any]:
    """Type and parameters of a fine-tune's loss: the recipe's, and the loss's own where that is silent."""
    said = study.recipe.loss
    entry = said.entry(study.task)
    params = said.checked_params(study.task).model_dump(mode="json")
    if entry.name == "cross_entropy" and said.label_smoothing is None:  # as `engine.losses.loss_for` does
        params["label_smoothing"] = study.recipe.finetune.label_smoothing
    return {"type": entry.name, **params, "balanced": study.balanced}
