"""Whether a refinement is kept: its answers and its probe's, to images that neither learned from.

Pure arithmetic. It knows neither networks nor files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backend.engine.metrics import SMALLEST, accuracy, macro_f1

if TYPE_CHECKING:
    import numpy.typing as npt

    from backend.contracts import RankBy

    Floats = npt.NDArray[np.floating]
    Ints = npt.NDArray[np.integer]

SURE = 1.0  # standard errors by which the score must rise


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether to keep the refinement, and a sentence with both numbers."""

    kept: bool
    reason: str


def judge(refined: Floats, probe: Floats, targets: Ints, *, by: RankBy) -> Verdict:
    """Compare held-out probabilities [H, C] of both.

    Kept where the ranking score is higher by more than one standard error of the paired difference, or where it is not
    lower and the log-loss is lower by as much.
    """
    score = macro_f1 if by == "macro_f1" else accuracy
    new, old = score(refined, targets), score(probe, targets)
    right = _right(refined, targets) - _right(probe, targets)
    losses = _losses(probe, targets) - _losses(refined, targets)
    better = new - old > SURE * _error(right)
    surer = new >= old and losses.mean() > SURE * _error(losses)
    words = "macro-F1" if by == "macro_f1" else "accuracy"
    numbers = f"{words} {new:.1%} against the probe's {old:.1%} on the same {len(targets)} held-out images"
    if better or surer:
        return Verdict(kept=True, reason=f"Training the last stages helped: {numbers}.")
    return Verdict(kept=False, reason=f"Training the last stages did not help: {numbers}; the probe stands.")


def _right(probabilities: Floats, targets: Ints) -> Floats:
    return np.asarray(probabilities.argmax(axis=1) == targets, dtype=np.float64)


def _losses(probabilities: Floats, targets: Ints) -> Floats:
    chosen = probabilities[np.arange(len(targets)), targets]
    return np.asarray(-np.log(np.clip(chosen, SMALLEST, 1.0)))


def _error(differences: Floats) -> float:
    """Standard error of a mean difference."""
    return float(differences.std(ddof=1)) / math.sqrt(len(differences)) if len(differences) > 1 else math.inf
