"""Has the network seen anything like this picture? Distance to the training images in feature space, and its words.

It knows features and no pictures. Source: Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backend.contracts import SimilarImage
from backend.engine.reference import Reference, nearest_distance

Floats = npt.NDArray[np.floating]

# Rounding to half floats alone moves a cosine by about this much; below it two pictures are the same.
ROUNDING = 1e-3


def assess(reference: Reference, feature: Floats) -> tuple[float, bool]:
    """Say how unfamiliar a picture is, from its feature [D] of any length.

    With d the mean cosine distance to the nearest training images and t the threshold of the reference, the score is
    d / (d + t): 0 for a training image, 0.5 at the threshold, towards 1 the farther away.

    Returns:
        The score 0..1, and whether it is beyond the threshold.
    """
    known = _unit(feature)[None, :]
    distance = max(0.0, float(nearest_distance(reference.features, known, neighbours=reference.neighbours)[0]))
    threshold = max(reference.threshold, ROUNDING)
    return distance / (distance + threshold), distance > threshold


def similar_images(reference: Reference, feature: Floats, k: int) -> list[SimilarImage]:
    """The `k` training images nearest to a feature [D], nearest first."""
    cosines = reference.features.astype(np.float32) @ _unit(feature)
    nearest = np.argsort(-cosines, kind="stable")[: max(0, k)]
    return [
        SimilarImage(
            image_id=reference.image_ids[place],
            label=reference.labels[place],
            similarity=float(np.clip(cosines[place], -1.0, 1.0)),
        )
        for place in nearest
    ]


def _unit(feature: Floats) -> npt.NDArray[np.float32]:
    return (feature / max(float(np.linalg.norm(feature)), 1e-12)).astype(np.float32)
