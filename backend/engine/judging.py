"""How good a network in training is, by its answers to the validation images: what an epoch's record says of it, and
the score that chooses the epoch. It trains nothing.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from backend.data.targets import is_multilabel
from backend.engine.kept_weights import Score
from backend.engine.metrics import accuracy, log_loss, macro_f1

JudgedBy = Literal["accuracy", "macro_f1"]
Floats = npt.NDArray[np.floating]


def judge(probabilities: Floats, targets: npt.NDArray[Any], *, by: JudgedBy) -> tuple[Score, dict[str, Any]]:
    """The score of validation answers [V, C], and what it adds to the epoch's record.

    Where an image may carry several labels the macro-F1 decides, each image judged by thresholds that were tuned on the
    others (`engine.thresholds`): the model will have tuned ones too, and at one half a rare label is never seen while
    the network is still unsure of it. Subset accuracy would be 0 for many epochs.
    """
    loss = log_loss(probabilities, targets)
    right = accuracy(probabilities, targets)
    found: dict[str, Any] = {"val_loss": loss, "val_accuracy": right}
    if by == "accuracy" and not is_multilabel(targets):
        return Score(right, -loss), found
    f1 = macro_f1(probabilities, targets)
    return Score(f1, -loss), found | {"val_macro_f1": f1}


def unjudged(epoch: int) -> Score:
    """Without validation later is better."""
    return Score(0.0, float(epoch))
