"""How an image becomes a network's input, chosen from the shapes of the images, and said in a sentence. No torch here.

It never chooses a crop: what a crop cuts away may be what the class is told by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from backend.contracts import Dataset, Preprocessing, ResizeMode
from backend.data.images import placement

# 4:3 photographs (1.33) pass, 3:2 ones (1.5) do not. Stretching by a third leaves shapes easy to tell; a network learns
# them as they are, as long as all images are stretched alike.
MOST_STRETCH = 1.4
# A convolutional network's last map has a place for each 32 x 32 pixels, a ViT's for each 16 x 16: a size that is a
# multiple of 32 leaves no column at the border that only part of a kernel sees.
STRIDE = 32
# A feature smaller than this in the network's input is less than one place of its first maps: two steps of 2 pixels.
KEPT_PIXELS = 4
MOST_PIXELS = 4096 * 4096  # of one input; the activations of a larger one fit no machine

Triple = tuple[float, float, float]
Resolution: TypeAlias = Literal["network", "full"] | Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fed:
    """What a network wants to be fed: pixels a side where nobody chose, and its normalisation, of RGB in 0..1."""

    size: int
    mean: Triple
    std: Triple


def choose_preprocessing(
    dataset: Dataset, *, size: int, mean: Triple, std: Triple, resolution: Resolution = "network"
) -> Preprocessing:
    """Return how the dataset's images become the network's input.

    "network": `size` x `size` pixels; squash where nearly all are about square and alike, letterbox where they are
    elongated or differ. "full": as they are, every image on a canvas as large as the largest, rounded up to the stride
    of the last map. (height, width): scaled into that size, rounded up in the same way. The middle 90% of the images
    decide, so that a few odd ones do not.
    """
    fed = Fed(size=size, mean=mean, std=std)
    if resolution == "network":
        chosen = _resized(dataset, fed, (size, size))
    elif resolution == "full":
        chosen = _as_they_are(dataset, fed)
    else:
        height, width = (_to_stride(int(side)) for side in resolution)
        chosen = _resized(dataset, fed, (height, width))
    return chosen.model_copy(update={"smallest_defect_px": smallest_defect(dataset, chosen)})


def smallest_defect(dataset: Dataset, preprocessing: Preprocessing) -> int:
    """Pixels of a picture that a feature must measure to still be 4 pixels wide in the network's input.

    4, because the first maps of a network have a place for each 4 x 4 pixels: what is smaller is less than one place.
    It holds for 95% of the pictures; resizing up makes nothing smaller visible, so it is never below 4.
    """
    sizes = sorted({(item.width, item.height) for item in dataset.items})
    scales = {size: _scale(size, preprocessing) for size in sizes}
    each = np.array([scales[item.width, item.height] for item in dataset.items])
    return math.ceil(KEPT_PIXELS / min(1.0, float(np.quantile(each, 0.05))) - 1e-6)


def _scale(size: tuple[int, int], preprocessing: Preprocessing) -> float:
    """Pixels of the input for one of a picture of `size` (width, height), along the side that shrinks more."""
    place = placement(size, preprocessing)
    return min(place.width / size[0], place.height / size[1])


def _as_they_are(dataset: Dataset, fed: Fed) -> Preprocessing:
    widths, heights = _sides(dataset)
    largest = (int(heights.max()), int(widths.max()))
    height, width = (_to_stride(side) for side in largest)
    if height * width > MOST_PIXELS:
        # one odd panorama must not decide for all: nearly all images stay as they are, the few larger ones are shrunk
        height, width = (_to_stride(int(np.quantile(sides, 0.95))) for sides in (heights, widths))
    one_size = widths.min() == widths.max() and heights.min() == heights.max()
    if one_size and (height, width) == largest:
        why = f"Images are taken as they are, {width} x {height} pixels: nothing is resized or cut off."
    elif one_size:
        why = (
            f"Images are taken as they are, {largest[1]} x {largest[0]} pixels, with a plain border up to {width} x "
            f"{height}, a multiple of {STRIDE}: nothing is resized or cut off."
        )
    else:
        why = (
            f"Images are taken as they are, each in the middle of {width} x {height} pixels with a plain border, "
            "because their sizes differ; nothing is cut off, and only one that is larger is scaled down."
        )
    return _made(fed, (height, width), "pad", why)


def _resized(dataset: Dataset, fed: Fed, size: tuple[int, int]) -> Preprocessing:
    height, width = size
    widths, heights = _sides(dataset)
    aspect = widths / heights
    low, middle, high = (float(value) for value in np.quantile(aspect, (0.05, 0.5, 0.95)))
    wanted = width / height
    stretch = max(high / wanted, wanted / low)
    if stretch <= MOST_STRETCH and high / low <= MOST_STRETCH:
        return _made(fed, size, "squash", _squash_reason(size, low, high))
    return _made(fed, size, "letterbox", _letterbox_reason(size, low, middle, high))


def _made(fed: Fed, size: tuple[int, int], resize: ResizeMode, reason: str) -> Preprocessing:
    return Preprocessing(height=size[0], width=size[1], resize=resize, mean=fed.mean, std=fed.std, reason=reason)


def _sides(dataset: Dataset) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    items = dataset.items
    return np.array([item.width for item in items]), np.array([item.height for item in items])


def _to_stride(side: int) -> int:
    return math.ceil(side / STRIDE) * STRIDE


def _squash_reason(size: tuple[int, int], low: float, high: float) -> str:
    height, width = size
    if height != width:
        shapes = f"of about that shape ({_range(low, high)} in the middle 90% of them)"
    else:
        square = "square" if round(low, 2) == round(high, 2) == 1 else "close to square"
        shapes = f"{square} ({_range(low, high)} in the middle 90% of them)"
    return (
        f"Images are resized to {width} x {height} pixels as a whole, because they are {shapes}, so that hardly any "
        "shape is distorted; nothing is cut off."
    )


def _letterbox_reason(size: tuple[int, int], low: float, middle: float, high: float) -> str:
    height, width = size
    alike = "they are elongated" if height == width else "their shape is another"
    why = alike if high / low <= MOST_STRETCH else "their shapes differ"
    return (
        f"Images are scaled to fit into {width} x {height} pixels and filled up with a plain border, because {why} "
        f"({_range(low, high)} in the middle 90% of them, median {middle:.2f}), so that stretching would distort them; "
        "nothing is cut off."
    )


def _range(low: float, high: float) -> str:
    if round(low, 2) == round(high, 2):
        return f"width / height is {low:.2f}"
    return f"width / height from {low:.2f} to {high:.2f}"
