"""How an image becomes a network's input, chosen from the shapes of the images, and said in a sentence. No torch.

It never chooses a crop: what a crop cuts away may be what the class is told by.
"""

from __future__ import annotations

import numpy as np

from backend.contracts import Dataset, Preprocessing

# 4:3 photographs (1.33) pass, 3:2 ones (1.5) do not. Stretching by a third leaves shapes easy to tell; a network learns
# them as they are, as long as all images are stretched alike.
MOST_STRETCH = 1.4

Triple = tuple[float, float, float]


def choose_preprocessing(dataset: Dataset, *, size: int, mean: Triple, std: Triple) -> Preprocessing:
    """Return how the dataset's images become `size` x `size` pixels.

    Squash where nearly all are about square and alike, letterbox where they are elongated or differ. The middle 90% of
    the images decide, so that a few odd ones do not.
    """
    aspect = np.array([item.width / item.height for item in dataset.items])
    low, middle, high = (float(value) for value in np.quantile(aspect, (0.05, 0.5, 0.95)))
    stretch = max(high, 1 / low)
    spread = high / low
    squash = stretch <= MOST_STRETCH and spread <= MOST_STRETCH
    return Preprocessing(
        height=size,
        width=size,
        resize="squash" if squash else "letterbox",
        mean=mean,
        std=std,
        reason=_squash_reason(size, low, high) if squash else _letterbox_reason(size, low, middle, high),
    )


def _squash_reason(size: int, low: float, high: float) -> str:
    shapes = "square" if round(low, 2) == round(high, 2) == 1 else "close to square"
    return (
        f"Images are resized to {size} x {size} pixels as a whole, because they are {shapes} "
        f"({_range(low, high)} in the middle 90% of them), so that hardly any shape is distorted; nothing is cut off."
    )


def _letterbox_reason(size: int, low: float, middle: float, high: float) -> str:
    why = "they are elongated" if high / low <= MOST_STRETCH else "their shapes differ"
    return (
        f"Images are scaled to fit into {size} x {size} pixels and filled up with a plain border, because {why} "
        f"({_range(low, high)} in the middle 90% of them, median {middle:.2f}), so that stretching would distort them; "
        "nothing is cut off."
    )


def _range(low: float, high: float) -> str:
    if round(low, 2) == round(high, 2):
        return f"width / height is {low:.2f}"
    return f"width / height from {low:.2f} to {high:.2f}"
