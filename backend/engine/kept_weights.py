"""Weights that a fine-tune keeps beside the network's own: the best so far, and what lies between two states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn


@dataclass(frozen=True, slots=True, order=True)
class Score:
    """Accuracy or macro-F1 first; among equals, common on few images, the smaller loss."""

    quality: float
    negative_loss: float


@dataclass(frozen=True, slots=True)
class Best:
    epoch: int
    score: Score
    probabilities: npt.NDArray[np.float64]
    state: dict[str, torch.Tensor]


def between(start: dict[str, torch.Tensor], end: dict[str, torch.Tensor], *, share: float) -> dict[str, torch.Tensor]:
    """Weights at this share of the way from `start` to `end`; counters, which are no weights, as at the end."""
    return {
        name: torch.lerp(start[name], tensor, share) if tensor.is_floating_point() else tensor
        for name, tensor in end.items()
    }


def copy_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
