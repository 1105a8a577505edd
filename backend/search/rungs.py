"""The ladder of successive halving: which images each rung shows, and who climbs on. Pure; it knows no networks.

Source: Jamieson and Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization". Unlike
there, a candidate that the images cannot tell from the best is kept: halving is for those that have lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer]

FIRST = 1000  # images: below, every network's way is short enough to go it to the end
FACTOR = 4
ALWAYS = 10  # images of a rare class that stand on the first rung whatever its share


def ladder(total: int) -> list[int]:
    """Sizes of the rungs, ascending; the last is `total`. A rung that nearly reaches the next is left out."""
    sizes = []
    size = FIRST
    while size * 2 <= total:
        sizes.append(size)
        size *= FACTOR
    return [*sizes, total]


def growing_order(targets: Ints, *, seed: int) -> Ints:
    """Places [N] in an order of which every beginning holds each class with about its share, rare ones first."""
    random = np.random.default_rng(seed)
    keys = np.empty(len(targets))
    for target in np.unique(targets):
        places = random.permutation(np.flatnonzero(targets == target))
        keys[places] = (np.arange(len(places)) + random.random()) / len(places)
        keys[places[:ALWAYS]] = np.minimum(keys[places[:ALWAYS]], np.arange(len(places[:ALWAYS])) / len(targets))
    return np.argsort(keys, kind="stable")


def survivors(scores: Sequence[float], ties: Sequence[bool]) -> list[int]:
    """Who climbs on, best first: the better half, and whoever ties with the best. `ties[i]` says that of number i."""
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    half = -(-len(order) // 2)
    return [place for rank, place in enumerate(order) if rank < half or ties[place]]
