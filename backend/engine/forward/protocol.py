"""What every way of computing a frozen forward pass offers. It knows no library."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]


class FrozenForward(Protocol):
    """A network's backbone with its weights, ready to compute; a call may come from one thread at a time."""

    @property
    def kind(self) -> str:
        """Library, its version and its arithmetic, `torch-2.15.0-bf16`: features of one kind may stand side by side."""

    @property
    def batch_size(self) -> int:
        """How many pictures a call computes fastest."""

    def __call__(self, images: Pixels) -> Features:
        """Features [N, D] of pictures uint8 [N, H, W, 3], RGB, at the size that the network is fed."""
