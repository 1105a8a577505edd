"""How long a model takes, told from fits on few rows before anything long is begun; and how many rows a budget affords.

No step of a fit can be interrupted, so that whoever begins one that does not end in time has lost. It compares nothing
and keeps nothing that it has fitted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from backend.contracts import RunControl
from backend.tabular.fitting import Learner, answers_of
from backend.tabular.folds import FOLDS, Rows
from backend.tabular.scoring import Truth

# Fits on 1,000 rows, 4,000, 16,000: together a third of one fold, and the last two say how the time grows.
FIRST_ROWS, GROWTH = 1_000, 4
# Below this a fold is soon over, and tells by itself what the others will take.
TOLD_FROM_ROWS = 8_000
FASTEST_GROWTH = 2.5
LEAST_ROWS = 2_000


@dataclass(frozen=True)
class Pace:
    """Seconds of two fits, answers for a quarter as many rows included; the second on `GROWTH` times the rows.

    What a fit needs whatever the rows (boosting: half a second) is a summand where the time grows slower than the rows;
    where it grows faster (kernels) it does so by a power.
    """

    rows: int
    seconds: float
    before: float

    def at(self, rows: float) -> float:
        """Seconds that a fit on so many rows will take."""
        if self.seconds <= GROWTH * self.before:
            each = max(0.0, self.seconds - self.before) / (self.rows - self.rows / GROWTH)
            return max(self.seconds + each * (rows - self.rows), min(self.before, self.seconds))
        growth = min(FASTEST_GROWTH, math.log(self.seconds / max(self.before, 1e-4), GROWTH))
        return float(self.seconds * (rows / self.rows) ** growth)

    def folds(self, rows: int) -> float:
        """Seconds of a cross-validation of so many rows."""
        return FOLDS * self.at(rows * (FOLDS - 1) / FOLDS)

    def words(self) -> str:
        return f"told from fits on up to {self.rows:,} rows"


def pace_of(
    learner: Learner, features: pd.DataFrame, truth: Truth, *, limit_s: float, control: RunControl
) -> Pace | None:
    """Fit on growing parts of the rows; ends where `limit_s` is already out of reach. None: nothing can be said.

    Raises:
        JobCancelled: somebody asked to stop.
    """
    order = np.random.default_rng(learner.seed).permutation(len(features))
    known: Pace | None = None
    before, rows = None, FIRST_ROWS
    while rows + rows // GROWTH <= len(features):
        control.check()
        try:
            seconds = _timed(learner, features, truth, order[:rows], order[rows : rows + rows // GROWTH])
        except (ValueError, MemoryError, np.linalg.LinAlgError):
            return None  # the folds will say why
        # a first fit alone says nothing of the growth, unless even the next would take too long
        known = Pace(rows, seconds, seconds / GROWTH if before is None else before)
        hopeless = FOLDS * seconds > limit_s if before is None else known.folds(len(features)) > 2 * limit_s
        if hopeless or rows * GROWTH > len(features) // 2:
            break
        before, rows = seconds, rows * GROWTH
    return known


def _timed(learner: Learner, features: pd.DataFrame, truth: Truth, learn: Rows, answer: Rows) -> float:
    begun = time.monotonic()
    pipeline = learner.fit(features.iloc[learn], truth.targets[learn])
    answers_of(pipeline, features.iloc[answer], task=truth.task, classes=truth.classes)
    return time.monotonic() - begun


def affordable_rows(
    learners: Sequence[Learner], features: pd.DataFrame, truth: Truth, *, within_s: float, control: RunControl
) -> int:
    """How many of the rows these models can be cross-validated on, one after the other, in so many seconds.

    All of them where that is possible; else a round number, 2,000 at the least.

    Raises:
        JobCancelled: somebody asked to stop.
    """
    count = len(features)
    if count <= TOLD_FROM_ROWS:
        return count
    begun = time.monotonic()
    paces = [pace_of(learner, features, truth, limit_s=within_s, control=control) for learner in learners]
    known = [pace for pace in paces if pace is not None]
    left = max(0.0, within_s - (time.monotonic() - begun))
    if sum(pace.folds(count) for pace in known) <= left:
        return count
    low, high = min(LEAST_ROWS, count), count
    while high - low > max(1, low // 50):
        middle = (low + high) // 2
        low, high = (middle, high) if sum(pace.folds(middle) for pace in known) <= left else (low, middle)
    step = int(10 ** max(0, len(str(low)) - 2))
    return max(min(LEAST_ROWS, count), low // step * step)
