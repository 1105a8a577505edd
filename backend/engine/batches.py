"""Batches for training: shuffled, changed at random, ready for the network, made one at a time.

It does not know networks. The same seed gives the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import torch

from backend.contracts import Preprocessing
from backend.data.targets import Targets, is_multilabel
from backend.data.transforms import augment, normalise, rand_augment

if TYPE_CHECKING:
    Ints = npt.NDArray[np.integer]


class Inputs(Protocol):
    """What a network reads, by place: pixels, or what its frozen stages made of them."""

    def training(self, places: Ints, generator: torch.Generator) -> torch.Tensor:
        """Inputs [N, ...] for the network, on its device, changed at random."""

    def plain(self, places: Ints) -> torch.Tensor:
        """Inputs [N, ...] as they are: for validation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """Images uint8 [N, H, W, 3], usually memory-mapped, a batch of which is copied at a time.

    Attributes:
        rows: the image of each place, where not all images are meant.
        augmentations: names of the catalogue.
        rand_magnitude: of RandAugment, 1 to 30; 0: none.
    """

    images: npt.NDArray[np.uint8]
    preprocessing: Preprocessing
    device: torch.device
    rows: npt.NDArray[np.integer] | None = None
    augmentations: Sequence[str] = ()
    rand_magnitude: int = 0

    def training(self, places: Ints, generator: torch.Generator) -> torch.Tensor:
        changed = self._batch(places).permute(0, 3, 1, 2)
        if self.rand_magnitude:
            changed = rand_augment(changed, generator, magnitude=self.rand_magnitude)
        changed = augment(changed, self.augmentations, generator)
        return normalise(changed.permute(0, 2, 3, 1).to(self.device), self.preprocessing)

    def plain(self, places: Ints) -> torch.Tensor:
        return normalise(self._batch(places).to(self.device), self.preprocessing)

    def _batch(self, places: Ints) -> torch.Tensor:
        """A copy; the array on the disk is never written to."""
        return torch.from_numpy(np.array(self.images[places if self.rows is None else self.rows[places]]))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """What a fine-tune learns from.

    Attributes:
        inputs: what the network reads at each place.
        targets: class index of each place [N], or its labels [N, C] of 0 and 1.
        train, val: places of the two parts; `val` may be empty, where nothing is left to be judged.
        features: what the head reads at each place [N, D], where that is known already.
        balanced: whether every class has the same say in the loss.
    """

    inputs: Inputs
    targets: Targets
    train: npt.NDArray[np.integer]
    val: npt.NDArray[np.integer]
    features: npt.NDArray[np.floating] | None = None
    balanced: bool = False


class TrainingBatches:
    """One pass over the training places per iteration, each in a new order."""

    def __init__(self, data: TrainingData, *, batch_size: int, seed: int, device: torch.device) -> None:
        self._data = data
        self.batch_size = batch_size
        self._device = device
        self._generator = torch.Generator().manual_seed(seed)

    @property
    def random_state(self) -> torch.Tensor:
        """What decides all batches from here on."""
        return self._generator.get_state()

    @random_state.setter
    def random_state(self, state: torch.Tensor) -> None:
        self._generator.set_state(state)

    def __len__(self) -> int:
        """Batches, and so steps, of one pass."""
        return len(self._cut(np.arange(len(self._data.train))))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Inputs [N, ...] and targets, int64 [N] or float32 [N, C], on the device."""
        order = torch.randperm(len(self._data.train), generator=self._generator).numpy()
        for places in self._cut(self._data.train[order]):
            kind = np.float32 if is_multilabel(self._data.targets) else np.int64
            targets = torch.from_numpy(self._data.targets[places].astype(kind))
            yield self._data.inputs.training(places, self._generator), targets.to(self._device)

    def _cut(self, order: npt.NDArray[np.integer]) -> list[npt.NDArray[np.integer]]:
        """Pieces of `batch_size`; a last piece of one joins its neighbour, for BatchNorm cannot train on one image."""
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        if len(batches) > 1 and len(batches[-1]) == 1:
            batches[-2:] = [np.concatenate(batches[-2:])]
        return batches
