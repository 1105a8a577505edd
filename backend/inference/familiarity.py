"""Has the network seen anything like this picture? Distance to the training images in feature space, and its words.

It knows features and no pictures. Source: Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backend.contracts import SimilarImage
from backend.engine.conformal import ROUNDING
from backend.engine.reference import Reference, nearest_mean, unit

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Familiarity:
    """Of N pictures: how unfamiliar each is [N], 0..1, and whether that is beyond the threshold [N]."""

    scores: npt.NDArray[np.float64]
    unfamiliar: npt.NDArray[np.bool_]


class Compared(NamedTuple):
    """Pictures set beside the training images, in one product."""

    familiarity: Familiarity
    similar: list[list[SimilarImage]]


def compare_many(reference: Reference, features: Floats, k: int) -> Compared:
    """What `assess_many` and `similar_many` say of features [N, D], for the price of one of them."""
    cosines = _cosines(reference, features)
    return Compared(_assessed(reference, cosines), _similar(reference, cosines, k))


def assess_many(reference: Reference, features: Floats) -> Familiarity:
    """Say how unfamiliar pictures are, from their features [N, D] of any length.

    With d the mean cosine distance to the nearest training images and t the threshold of the reference, the score is
    d / (d + t): 0 for a training image, 0.5 at the threshold, towards 1 the farther away.
    """
    return _assessed(reference, _cosines(reference, features))


def assess(reference: Reference, feature: Floats) -> tuple[float, bool]:
    """The same for one feature [D]: its score 0..1, and whether it is beyond the threshold."""
    found = assess_many(reference, feature[None, :])
    return float(found.scores[0]), bool(found.unfamiliar[0])


def similar_many(reference: Reference, features: Floats, k: int) -> list[list[SimilarImage]]:
    """The `k` training images nearest to each of the features [N, D], nearest first."""
    return _similar(reference, _cosines(reference, features), k)


def similar_images(reference: Reference, feature: Floats, k: int) -> list[SimilarImage]:
    """The same for one feature [D]."""
    return similar_many(reference, feature[None, :], k)[0]


def _cosines(reference: Reference, features: Floats) -> Floats:
    """Cosines [N, R]; a feature that is no number, from a network that overflowed, is like nothing."""
    cosines: Floats = np.nan_to_num(unit(features) @ reference.matrix.T, nan=-1.0, posinf=-1.0, neginf=-1.0)
    return cosines


def _assessed(reference: Reference, cosines: Floats) -> Familiarity:
    distances = nearest_mean(1.0 - cosines, reference.neighbours).astype(np.float64)
    threshold = max(reference.threshold, ROUNDING)
    return Familiarity(distances / (distances + threshold), distances > threshold)


def _similar(reference: Reference, cosines: Floats, k: int) -> list[list[SimilarImage]]:
    count = min(max(0, k), cosines.shape[1])
    if not count:
        return [[] for _ in cosines]
    nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    found = []
    for row, places in zip(cosines, nearest, strict=True):
        # equal pictures stand in the order of the reference, whichever way the partition fell
        ordered = places[np.lexsort((places, -row[places]))]
        found.append([_named(reference, int(place), float(row[place])) for place in ordered])
    return found


def _named(reference: Reference, place: int, cosine: float) -> SimilarImage:
    return SimilarImage(
        image_id=reference.image_ids[place],
        label=reference.labels[place],
        similarity=float(np.clip(cosine, -1.0, 1.0)),
    )
