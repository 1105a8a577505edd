"""Ties: whether two rows of the leaderboard differ by more than chance on the images that both answered. Pure.

It looks at right and wrong answers only, not at how sure they were, and knows no networks.
Source: McNemar 1947, "Note on the sampling error of the difference between correlated proportions", in its exact form.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from backend.data.targets import Targets, is_multilabel
from backend.engine.label_metrics import mistakes

Floats = npt.NDArray[np.floating]

LEVEL = 0.05  # two-sided: of pairs that are equally good, one in twenty is told apart


def mcnemar_p_value(held_out_a: Floats, held_out_b: Floats, targets: Targets) -> float:
    """How likely such a difference is where both are equally good, 0..1.

    Probabilities are [N, C] for the same images, targets [N] class indices. Only images that one of the two gets right
    and the other wrong say anything; without such images the answer is 1. Where targets are labels [N, C], those images
    count of which one of the two has fewer labels wrong: the sign test, which with one class an image is McNemar's.

    Raises:
        ValueError: the two did not answer the same number of images.
    """
    if not len(held_out_a) == len(held_out_b) == len(targets):
        raise ValueError(f"{len(held_out_a)} and {len(held_out_b)} answers do not go with {len(targets)} targets")
    if is_multilabel(targets):
        wrong_a, wrong_b = mistakes(held_out_a, targets), mistakes(held_out_b, targets)
        return mcnemar_of_counts(int((wrong_a < wrong_b).sum()), int((wrong_b < wrong_a).sum()))
    right_a, right_b = held_out_a.argmax(axis=1) == targets, held_out_b.argmax(axis=1) == targets
    return mcnemar_of_counts(int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum()))


def mcnemar_of_counts(only_a: int, only_b: int) -> float:
    """The same from the number of images that only one of the two got right."""
    if only_a + only_b == 0:
        return 1.0
    # at one half the binomial distribution is symmetric; scipy.stats says the same and takes a second to import
    return float(min(1.0, 2.0 * bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def is_tie(held_out_a: Floats, held_out_b: Floats, targets: Targets) -> bool:
    """Whether the images cannot tell the two apart at 95%.

    Raises:
        ValueError: the two did not answer the same number of images.
    """
    return mcnemar_p_value(held_out_a, held_out_b, targets) >= LEVEL
