"""The winner's training in short: what an experiment's log needs beside scores and history. `results.json` holds it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from backend.contracts.base import Record


class Experiment(Record):
    """How the best network was trained, and how far it came on validation.

    `best_epoch` 0: the head that was solved before the first epoch was not beaten. Nothing of epochs or losses is known
    of a linear head on frozen features, or of several networks that answer together.
    """

    network: str
    timm_name: str
    loss: dict[str, Any] | None = Field(None, description="Its type and parameters, as they were used.")
    best_epoch: int | None = None
    at_best_epoch: dict[str, float | None] | None = Field(None, description="Losses and scores of that epoch.")
    best_validation: dict[str, float] = Field(
        default_factory=dict, description="Scores that ranked it: with its thresholds, where there are any."
    )
    checkpoint: str | None = Field(
        None, description="File of the best epoch's weights, in `checkpoints`; none: no epoch was chosen."
    )
    parameters: int | None = Field(None, description="Weights in all.")
    trainable_parameters: int | None = Field(None, description="Weights that the training moved.")
