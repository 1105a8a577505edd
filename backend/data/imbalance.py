"""When classes count as uneven: one rule for the warning at import, both losses and the ranking. Pure."""

from __future__ import annotations

from collections.abc import Iterable

# Above it accuracy rewards ignoring rare classes: people are warned, rare classes weigh more in training, and
# macro-F1 ranks instead of accuracy. All at one point, so that a warning always goes with a remedy.
IMBALANCE_RATIO = 3.0


def is_imbalanced(class_counts: Iterable[int]) -> bool:
    """Whether the largest class has more than `IMBALANCE_RATIO` times the images of the smallest."""
    counts = list(class_counts)
    return max(counts) > IMBALANCE_RATIO * min(counts)  # an empty class is uneven whatever the others hold


def imbalance_ratio(class_counts: Iterable[int]) -> float:
    """Images of the largest class by those of the smallest; an empty class counts as one image."""
    counts = list(class_counts)
    return max(counts) / max(1, min(counts))
