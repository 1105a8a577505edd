"""Looking in: how sure the winner may be, which labels it doubts, whether more pictures would help.

Nothing here chooses: the ranking stands. Labels of test images are doubted like all others, and no score is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from backend.contracts import Calibration, ClassImbalance, LearningCurvePoint, SuspectLabel
from backend.contracts.journal import decided
from backend.data.imbalance import imbalance_ratio
from backend.engine.temperature import scale_head
from backend.search.calibrate import apply_calibration, calibrate, calibrate_together
from backend.search.doubts import doubt_labels
from backend.search.learning_curve import advice, learning_curve
from backend.search.trial import Trial

if TYPE_CHECKING:
    from backend.data.targets import Targets
    from backend.search.budget import Budget
    from backend.search.study import Study

CURVE_S = 2.0  # the longest that a learning curve was seen to take, on 3,000 images


@dataclass(frozen=True, kw_only=True)
class LookIn:
    """What was seen. `advice` says in a sentence what the curve says; `notes` are sentences beyond it."""

    calibration: Calibration
    imbalance: ClassImbalance
    suspects: tuple[SuspectLabel, ...]
    curve: tuple[LearningCurvePoint, ...]
    advice: str | None
    notes: tuple[str, ...]

    def calibrated(self, winner: Trial) -> Trial:
        """The winner with its calibration in its answers and written into its networks' last layers."""
        found = self.calibration
        for trial in [member for member, _ in winner.members] or [winner]:
            if trial.model is not None:
                scale_head(trial.model.network, found.temperature, found.offsets)
        ready = replace(winner, test_probabilities=_calibrated(winner, "test_probabilities", found))
        if found.offsets is None:
            return ready
        # thresholds of labels are tuned on answers as they will be given
        return replace(ready, held_out=_calibrated(winner, "held_out", found))


def look_in(study: Study, ranked: Sequence[Trial], winner: Trial, *, budget: Budget) -> LookIn:
    """Look into the winner by its answers to images that it had not learned from."""
    places = study.ranking if winner.places is None else winner.places
    targets = study.targets[places]
    if winner.held_out is None:
        raise ValueError("a winner was ranked")
    curve, notes = _curve(study, ranked, budget=budget)
    suspects, doubts = doubt_labels(study, ranked, winner, budget=budget)
    return LookIn(
        calibration=_calibration(winner, targets),
        imbalance=_imbalance(study),
        suspects=suspects,
        curve=curve,
        advice=advice(curve) or None,
        notes=(*notes, *doubts),
    )


def _calibration(winner: Trial, targets: Targets) -> Calibration:
    if winner.held_out is None:
        raise ValueError("a winner was ranked")
    if not winner.members:
        return calibrate(winner.held_out, targets)
    answers = [member.held_out for member, _ in winner.members if member.held_out is not None]
    return calibrate_together(answers, [weight for _, weight in winner.members], targets)


def _calibrated(
    winner: Trial, which: Literal["test_probabilities", "held_out"], calibration: Calibration
) -> np.ndarray | None:
    """Answers after scaling: an ensemble's members are scaled one by one, and then averaged."""
    if not winner.members:
        answers = getattr(winner, which)
        return None if answers is None else apply_calibration(answers, calibration)
    parts = [
        weight * apply_calibration(getattr(member, which), calibration)
        for member, weight in winner.members
        if getattr(member, which) is not None
    ]
    return np.asarray(np.sum(parts, axis=0))


def _imbalance(study: Study) -> ClassImbalance:
    recipe = study.recipe
    return ClassImbalance(
        ratio=imbalance_ratio(list(study.dataset.info.class_counts.values())),
        balanced=study.balanced,
        ranked_by=study.ranked_by,
        automatic=recipe.class_balance == "auto" and recipe.rank_by == "auto",
    )


def _curve(
    study: Study, ranked: Sequence[Trial], *, budget: Budget
) -> tuple[tuple[LearningCurvePoint, ...], list[str]]:
    """The learning curve of the best probe, whose features are at hand, or why there is none."""
    probe = next((trial for trial in ranked if trial.usable and trial.head is not None), None)
    if probe is None or probe.head is None or probe.features_of is None or probe.places is None:
        return (), []
    if decided(study.control.journal, "curve", lambda: budget.deadline.remaining() < CURVE_S):
        return (), ["No learning curve: the time budget was used up."]
    points = learning_curve(
        probe.features_of(probe.places),
        study.targets[probe.places],
        num_classes=study.num_classes,
        head=probe.head,
        plan=study.head_plan(probe.places),
        control=study.control,
    )
    return points, []
