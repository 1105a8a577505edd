"""From which probability on a label counts as present: by F1, by what mistakes cost, and for answers that are judged.

A threshold that is fitted on three images is noise. So each label's threshold lies between two: the one with the best
F1 on its images, and the one that the probabilities imply where they are calibrated (the F1 that is to be expected of
them, without a look at the labels; Lipton, Elkan and Naryanaswamy 2014, "Optimal Thresholding of Classifiers to
Maximize F1 Measure"). `TRUSTED` positives count as much as what is implied. Pure numpy; it knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from backend.data.targets import strata

Floats = npt.NDArray[np.floating]
Marks = npt.NDArray[np.bool_]

TRUSTED = 20.0  # positives
LOWEST, HIGHEST = 0.01, 0.99  # beyond, one label would be said of everything or of nothing
FOLDS = 5


def decide(probabilities: Floats, thresholds: Sequence[float] | Floats) -> Marks:
    """Which labels are present [N, C]: those whose probability reaches its threshold."""
    return np.asarray(probabilities >= np.asarray(thresholds, dtype=np.float64))


def tune_thresholds(probabilities: Floats, targets: Floats) -> tuple[float, ...]:
    """Thresholds [C] for the best F1 of each label, by probabilities [N, C] for images that were not learned from.

    Raises:
        ValueError: there is no image, or probabilities and targets do not go together.
    """
    if not len(targets) or probabilities.shape != targets.shape:
        raise ValueError(f"probabilities {probabilities.shape} do not go with targets {targets.shape}")
    return tuple(_tuned(probabilities[:, label], targets[:, label] > 0) for label in range(targets.shape[1]))


def threshold_of_costs(miss: float, false_alarm: float) -> float:
    """The threshold with the least cost where probabilities are calibrated: say present where p * miss is more.

    A missed label costs `miss`, one that is not there `false_alarm`, in any unit. Source: Elkan 2001, "The Foundations
    of Cost-Sensitive Learning".

    Raises:
        ValueError: a cost is not positive.
    """
    if not (miss > 0 and false_alarm > 0):
        raise ValueError(f"a miss costs {miss} and a false alarm {false_alarm}; both must be positive")
    return min(HIGHEST, max(LOWEST, false_alarm / (false_alarm + miss)))


def held_out_decisions(probabilities: Floats, targets: Floats) -> Marks:
    """Which labels are present [N, C], each image judged by thresholds that were tuned on the others.

    So the scores of a ranking are not flattered by thresholds that had seen what they are judged by.
    """
    if len(targets) < 2 * FOLDS:
        return decide(probabilities, np.full(targets.shape[1], 0.5))
    order = np.argsort(strata(targets), kind="stable")
    fold_of = np.empty(len(targets), dtype=np.int64)
    fold_of[order] = np.arange(len(targets)) % FOLDS
    present = np.zeros(targets.shape, dtype=bool)
    for fold in range(FOLDS):
        here = fold_of == fold
        present[here] = decide(probabilities[here], tune_thresholds(probabilities[~here], targets[~here]))
    return present


def _tuned(probabilities: Floats, present: Marks) -> float:
    order = np.argsort(-probabilities, kind="stable")
    falling = probabilities[order]
    implied = _best_cut(falling, falling)
    positives = int(present.sum())
    if not positives:
        return _within(implied)
    own = _best_cut(falling, present[order].astype(np.float64))
    trust = positives / (positives + TRUSTED)
    odds = trust * _log_odds(own) + (1 - trust) * _log_odds(implied)
    return _within(float(1.0 / (1.0 + np.exp(-odds))))


def _best_cut(falling: Floats, present: Floats) -> float:
    """Between the probabilities, falling, the cut with the best F1; `present` is what each image counts as, 0 to 1.

    Of several cuts that are as good the middle one; a cut never parts equal probabilities.
    """
    found = np.cumsum(present)
    scores = 2 * found / (np.arange(1, len(falling) + 1) + found[-1])
    parts = np.append(falling[:-1] > falling[1:], True)
    scores = np.where(parts, scores, -1.0)
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    place = int(best[len(best) // 2])
    below = falling[place + 1] if place + 1 < len(falling) else 0.0
    return float((falling[place] + below) / 2)


def _log_odds(probability: float) -> float:
    inside = _within(probability)
    return float(np.log(inside / (1 - inside)))


def _within(threshold: float) -> float:
    return float(min(HIGHEST, max(LOWEST, threshold)))
