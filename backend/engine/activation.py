"""From a network's scores to probabilities, by its task: one place, so that training, search, serving and every export
agree. Softmax where an image has one class, a sigmoid for each label where it may have several.

It knows no temperature: that is folded into the saved head.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from backend.contracts import Task

Floats = npt.NDArray[np.floating]

ACTIVATIONS: Final[dict[Task, str]] = {"multiclass": "softmax", "multilabel": "sigmoid"}  # as exports name them


def activate(scores: torch.Tensor, task: Task) -> torch.Tensor:
    """Probabilities [N, C] in double precision of scores [N, C]; rows sum to 1 only where the task is multi-class."""
    scores = scores.double()
    return torch.sigmoid(scores) if task == "multilabel" else torch.softmax(scores, dim=1)


def activate_array(scores: Floats, task: Task) -> npt.NDArray[np.float64]:
    """The same for an array, without torch's own rounding: float64 [N, C]."""
    scores = np.asarray(scores, dtype=np.float64)
    if task == "multilabel":
        from scipy.special import expit

        return np.asarray(expit(scores))
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
