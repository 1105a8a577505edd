"""What a fine-tune is asked for beside its settings, and what comes of it. It trains nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from backend.contracts import EpochRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetunePlan:
    """How long, on how many images a step, and which epoch's weights stay: the best on validation, or the last.

    `stop_after`: end after so many epochs of a schedule laid out for `num_epochs`; None: run through.
    `blends`: shares of the training, 0..1, that are judged on validation too: 0.5 is half way from the weights that a
    solved head began with to the trained ones. `share`: the one that stays.
    """

    num_epochs: int
    batch_size: int
    seed: int
    keep: Literal["best", "last"] = "best"
    stop_after: int | None = None
    blends: tuple[float, ...] = ()
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneOutcome:
    """The network itself holds the weights of `best_epoch`; `val_probabilities` [V, C] are theirs.

    Epoch 0 is the state before training, with a head that was solved. `stopped_early` says why, or is None.
    `by_epoch` are the validation probabilities after each epoch of `history`, `by_blend` those of each share of the
    training that was asked for.
    """

    history: tuple[EpochRecord, ...]
    best_epoch: int
    val_probabilities: npt.NDArray[np.float64]
    stopped_early: str | None
    by_epoch: tuple[npt.NDArray[np.float64], ...] = ()
    by_blend: Mapping[float, npt.NDArray[np.float64]] = field(default_factory=dict)
