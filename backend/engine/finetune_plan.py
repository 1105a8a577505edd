"""What a fine-tune is asked for beside its settings, and what comes of it. It trains nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from backend.contracts import EpochRecord, LossSettings
from backend.contracts.journal import Note

if TYPE_CHECKING:
    Written = tuple[dict[str, Any], dict[str, npt.NDArray[np.generic]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetunePlan:
    """How long, on how many images a step, and which epoch's weights stay: the best on validation, or the last.

    `stop_after`: end after so many epochs of a schedule laid out for `num_epochs`; None: run through.
    `blends`: shares of the training, 0..1, that are judged on validation too: 0.5 is half way from the weights that a
    solved head began with to the trained ones. `share`: the one that stays. `loss`: what the steps make smaller.
    `judged_by`: what chooses the best epoch of one class an image; with several labels it is always the macro-F1.
    `keep_in`: folder for the best epoch's weights, under a name with epoch and score.
    """

    num_epochs: int
    batch_size: int
    seed: int
    keep: Literal["best", "last"] = "best"
    stop_after: int | None = None
    blends: tuple[float, ...] = ()
    share: float = 1.0
    loss: LossSettings = field(default_factory=LossSettings)
    judged_by: Literal["accuracy", "macro_f1"] = "accuracy"
    keep_in: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneOutcome:
    """The network itself holds the weights of `best_epoch`; `val_probabilities` [V, C] are theirs.

    Epoch 0 is the state before training, with a head that was solved. `stopped_early` says why, or is None.
    `by_epoch` are the validation probabilities after each epoch of `history`, `by_blend` those of each share of the
    training that was asked for. `distances` [V]: how far each validation image lies from those learned from, where that
    was measured.
    """

    history: tuple[EpochRecord, ...]
    best_epoch: int
    val_probabilities: npt.NDArray[np.float64]
    stopped_early: str | None
    by_epoch: tuple[npt.NDArray[np.float64], ...] = ()
    by_blend: Mapping[float, npt.NDArray[np.float64]] = field(default_factory=dict)
    distances: npt.NDArray[np.float64] | None = None


def written(outcome: FinetuneOutcome) -> Written:
    """An outcome as a journal takes it: plain facts, and arrays."""
    shares = list(outcome.by_blend)
    facts = {
        "history": [record.model_dump() for record in outcome.history],
        "best_epoch": outcome.best_epoch,
        "stopped_early": outcome.stopped_early,
        "shares": shares,
    }
    arrays: dict[str, npt.NDArray[np.generic]] = {"val": outcome.val_probabilities}
    arrays |= {f"epoch {place}": rows for place, rows in enumerate(outcome.by_epoch)}
    arrays |= {f"share {place}": outcome.by_blend[share] for place, share in enumerate(shares)}
    return facts, arrays if outcome.distances is None else arrays | {"distances": outcome.distances}


def outcome_of(note: Note) -> FinetuneOutcome:
    """What `written` wrote; the network itself is not among it."""
    facts, arrays = note.facts, note.arrays
    history = tuple(EpochRecord.model_validate(record) for record in facts["history"])
    return FinetuneOutcome(
        history=history,
        best_epoch=facts["best_epoch"],
        val_probabilities=_floats(arrays["val"]),
        stopped_early=facts["stopped_early"],
        by_epoch=tuple(_floats(arrays[f"epoch {place}"]) for place in range(len(history))),
        by_blend={share: _floats(arrays[f"share {place}"]) for place, share in enumerate(facts["shares"])},
        distances=_floats(arrays["distances"]) if "distances" in arrays else None,
    )


def _floats(array: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    return np.asarray(array, dtype=np.float64)
