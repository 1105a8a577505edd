"""Several models answer together where that is better: greedy selection (Caruana et al. 2004). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from backend.tabular.compare import Attempt
from backend.tabular.scoring import Truth, losses

STEPS = 20
MOST_MEMBERS = 4


def combine(attempts: Sequence[Attempt], truth: Truth) -> list[tuple[Attempt, float]]:
    """Return members with their weights, which add up to 1; `truth` is of the rows that the attempts answered.

    Every step adds the attempt that lowers the loss the most; it ends where none does.
    """
    total = np.zeros_like(attempts[0].answers)
    chosen: list[int] = []
    reached = np.inf
    for step in range(STEPS):
        allowed = range(len(attempts)) if len(set(chosen)) < MOST_MEMBERS else sorted(set(chosen))
        found = [(_loss(truth, (total + attempts[place].answers) / (step + 1)), place) for place in allowed]
        loss, place = min(found)
        if loss >= reached - 1e-9:
            break
        reached = loss
        chosen.append(place)
        total = total + attempts[place].answers
    counts = Counter(chosen)
    return [(attempts[place], count / len(chosen)) for place, count in sorted(counts.items())]


def together(members: Sequence[tuple[Attempt, float]]) -> np.ndarray:
    """Their answers for the training rows, weighted."""
    joined: np.ndarray = np.sum([weight * attempt.answers for attempt, weight in members], axis=0)
    return joined


def _loss(truth: Truth, answers: np.ndarray) -> float:
    return losses(truth, answers)["log_loss" if truth.classes else "rmse"]
