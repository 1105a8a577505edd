"""How a network was trained, as the API tells it: epoch by epoch, and the winner's training in short."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class EpochRecord(TypedDict):
    """`val_macro_f1` is there where it chose the best epoch."""

    epoch: int
    train_loss: float | None
    val_loss: float | None
    val_accuracy: float | None
    val_macro_f1: NotRequired[float | None]


class ExperimentAnswer(TypedDict):
    """None: nothing of epochs and losses is known, as of a linear head."""

    loss: NotRequired[dict[str, Any] | None]
    best_epoch: NotRequired[int | None]
    at_best_epoch: NotRequired[dict[str, float | None] | None]
    checkpoint: NotRequired[str | None]
    parameters: NotRequired[int | None]
    trainable_parameters: NotRequired[int | None]


class FeatureUseAnswer(TypedDict):
    """Features that networks asked for, an image counted once for each, and how many were there from earlier runs."""

    images: int
    at_hand: int
    networks: int
