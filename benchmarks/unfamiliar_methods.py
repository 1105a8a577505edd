"""Other ways to tell unfamiliar pictures, from a network's features: what the chosen one was held against. Pure.

Each learns from training features [N, D] with their classes, and gives each of other features [M, D] a number that is
larger the less it belongs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.engine.reference import distances_between, unit

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]
Score = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Training features [N, D], their classes [N], and the network's head: scores of features."""

    features: Floats
    targets: Ints
    head: Callable[[Floats], Floats]


def nearest(learned: Learned) -> Score:
    """Mean cosine distance to the five nearest (Sun et al. 2022): the product's own."""
    return lambda asked: distances_between(learned.features, asked)


def mahalanobis(learned: Learned) -> Score:
    """Distance to the nearest class mean under one covariance (Lee et al. 2018), of unit features, shrunk."""
    known = unit(learned.features).astype(np.float64)
    means, precision = _classes(known, learned.targets)
    return lambda asked: np.min([_form(unit(asked) - mean, precision) for mean in means], axis=0)


def relative_mahalanobis(learned: Learned) -> Score:
    """The same, less the distance to the mean of all (Ren et al. 2021)."""
    known = unit(learned.features).astype(np.float64)
    within, mean, all_of_it = mahalanobis(learned), known.mean(axis=0), _precision(known - known.mean(axis=0))
    return lambda asked: within(asked) - _form(unit(asked) - mean, all_of_it)


def residual(learned: Learned) -> Score:
    """What lies outside the directions that hold 90% of the training features' variance."""
    known = unit(learned.features).astype(np.float64)
    mean = known.mean(axis=0)
    _, lengths, directions = np.linalg.svd(known - mean, full_matrices=False)
    kept = directions[: int(np.searchsorted(np.cumsum(lengths**2) / (lengths**2).sum(), 0.9)) + 1]

    def score(asked: Floats) -> Floats:
        centred = unit(asked) - mean
        return np.asarray(np.sqrt(np.maximum((centred**2).sum(axis=1) - ((centred @ kept.T) ** 2).sum(axis=1), 0.0)))

    return score


def energy(learned: Learned) -> Score:
    """Minus the logarithm of the summed scores (Liu et al. 2020)."""
    return lambda asked: -np.logaddexp.reduce(learned.head(asked), axis=1)


def largest_score(learned: Learned) -> Score:
    """Minus the largest score (Hendrycks et al. 2022)."""
    return lambda asked: -learned.head(asked).max(axis=1)


def largest_probability(learned: Learned) -> Score:
    """Minus the confidence itself (Hendrycks and Gimpel 2017)."""
    return lambda asked: -_confidence(learned.head(asked))


def vim(learned: Learned) -> Score:
    """Residual and energy together, the residual scaled to the scores (Wang et al. 2022)."""
    outside, sure = residual(learned), energy(learned)
    scale = learned.head(learned.features).max(axis=1).mean() / max(float(outside(learned.features).mean()), 1e-9)
    return lambda asked: scale * outside(asked) + sure(asked)


METHODS: dict[str, Callable[[Learned], Score]] = {
    "nearest images": nearest,
    "Mahalanobis": mahalanobis,
    "relative Mahalanobis": relative_mahalanobis,
    "residual": residual,
    "ViM": vim,
    "energy": energy,
    "largest score": largest_score,
    "confidence": largest_probability,
}


def area(own: Floats, foreign: Floats) -> float:
    """How often a foreign picture's number is the larger of a pair (AUROC); ties count half."""
    order = np.sort(own)
    below = np.searchsorted(order, foreign, side="left") + np.searchsorted(order, foreign, side="right")
    return float(below.mean() / (2 * len(own)))


def _classes(known: Floats, targets: Ints) -> tuple[list[Floats], Floats]:
    names = np.unique(targets)
    means = [known[targets == name].mean(axis=0) for name in names]
    return means, _precision(known - np.asarray(means)[np.searchsorted(names, targets)])


def _precision(centred: Floats) -> Floats:
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(centred, assume_centered=True)
    return np.asarray(np.linalg.inv(covariance))


def _form(rows: Floats, matrix: Floats) -> Floats:
    return np.asarray(((rows @ matrix) * rows).sum(axis=1))


def _confidence(scores: Floats) -> Floats:
    return np.asarray(np.exp(scores.max(axis=1) - np.logaddexp.reduce(scores, axis=1)))
