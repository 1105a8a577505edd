"""Batches for training: shuffled, augmented, normalised, copied from the disk one at a time.

It does not know networks. The same seed gives the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from backend.contracts import Preprocessing
from backend.data.imbalance import is_imbalanced
from backend.data.transforms import augment, normalise
from backend.engine.features import image_batch


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """Images uint8 [N, H, W, 3], usually memory-mapped, their class indices [N], and places of the two parts."""

    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.integer]
    train: npt.NDArray[np.integer]
    val: npt.NDArray[np.integer]
    preprocessing: Preprocessing


class TrainingBatches:
    """One pass over the training images per iteration, each in a new order."""

    def __init__(
        self,
        data: TrainingData,
        *,
        batch_size: int,
        augmentations: Sequence[str],
        seed: int,
        device: torch.device,
    ) -> None:
        self._data = data
        self._batch_size = batch_size
        self._augmentations = tuple(augmentations)
        self._device = device
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        """Batches, and so steps, of one pass."""
        return len(self._cut(np.arange(len(self._data.train))))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Inputs [N, 3, H, W] and targets [N], on the device."""
        order = torch.randperm(len(self._data.train), generator=self._generator).numpy()
        for places in self._cut(self._data.train[order]):
            batch = image_batch(self._data.images, places).permute(0, 3, 1, 2)
            changed = augment(batch, self._augmentations, self._generator)
            inputs = normalise(changed.permute(0, 2, 3, 1).to(self._device), self._data.preprocessing)
            yield inputs, torch.from_numpy(self._data.targets[places].astype(np.int64)).to(self._device)

    def _cut(self, order: npt.NDArray[np.integer]) -> list[npt.NDArray[np.integer]]:
        """Pieces of `batch_size`; a last piece of one joins its neighbour, for BatchNorm cannot train on one image."""
        batches = [order[start : start + self._batch_size] for start in range(0, len(order), self._batch_size)]
        if len(batches) > 1 and len(batches[-1]) == 1:
            batches[-2:] = [np.concatenate(batches[-2:])]
        return batches


def loss_weights(data: TrainingData, num_classes: int) -> torch.Tensor | None:
    """Weights [C] that give every class the same say, or None where the classes are about equally large."""
    counts = np.bincount(data.targets[data.train], minlength=num_classes)
    if not is_imbalanced(counts):
        return None
    weights = len(data.train) / (num_classes * np.maximum(counts, 1))
    return torch.tensor(weights, dtype=torch.float32)
