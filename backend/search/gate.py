"""Whether a refinement is kept: its answers and its probe's, to images that neither learned from.

Pure arithmetic. It knows neither networks nor files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.engine.metrics import image_losses, log_loss, score_by
from backend.search.calibrate import apply_calibration, calibrate
from backend.search.leaderboard import SCORE_NAMES

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from backend.contracts import RankBy
    from backend.data.targets import Targets

    Floats = npt.NDArray[np.floating]

# Standard errors of a paired difference that count as more than chance. Asking that much of the score itself threw away
# two of five refinements of CIFAR's three classes that had gained 5 and 7 points on test images: cross-fitted networks
# learn from a third fewer images than the one that is kept, so their answers understate it already.
SURE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether to keep the refinement, and a sentence with both numbers."""

    kept: bool
    reason: str


def judge(refined: Floats, probe: Floats, targets: Targets, *, by: RankBy) -> Verdict:
    """Compare held-out probabilities [H, C] of both.

    Kept where the ranking score is higher and the log-loss is not surely higher, or where the score is the same and the
    log-loss is surely lower; surely: by more than one standard error of the paired difference. Both get their best
    temperature first, as the winner will: smoothed labels make a fine-tune unsure, which is easily mended.
    """
    refined, probe = (apply_calibration(one, calibrate(one, targets)) for one in (refined, probe))
    score = score_by(by)
    new, old = score(refined, targets), score(probe, targets)
    losses = image_losses(probe, targets) - image_losses(refined, targets)
    gain, chance = float(losses.mean()), SURE * _error(losses)
    better = new > old and gain >= -chance
    surer = new == old and gain > chance
    words = SCORE_NAMES[by]
    numbers = f"{words} {new:.1%} against the probe's {old:.1%} on the same {len(targets)} held-out images"
    if better or surer:
        return Verdict(kept=True, reason=f"Training the last stages helped: {numbers}.")
    if new > old:
        loss = f"log-loss {log_loss(refined, targets):.3f} against {log_loss(probe, targets):.3f}"
        return Verdict(
            kept=False, reason=f"Training the last stages cost confidence: {numbers}, {loss}; the probe stands."
        )
    return Verdict(kept=False, reason=f"Training the last stages did not help: {numbers}; the probe stands.")


def _error(differences: Floats) -> float:
    """Standard error of a mean difference."""
    return float(differences.std(ddof=1)) / math.sqrt(len(differences)) if len(differences) > 1 else math.inf
