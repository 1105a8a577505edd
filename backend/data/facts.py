"""What one decoding tells about a picture: light, sharpness, and what near copies of it have in common. Pure.

It knows nothing of datasets: what counts as dark or blurry is decided by `quality`, among the pictures of a dataset.
Everything is taken from a small copy, so that the cost hardly depends on the picture's size.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.contracts import ImageFacts
from backend.data.fact_arrays import LIGHT_SIDE, Measures, measure

__all__ = [
    "LIGHT_SIDE",
    "NEARLY_SHARPNESS_SIDE",
    "SHARPNESS_SIDE",
    "fact_columns",
    "facts_of",
    "read_signature",
    "small_copy",
    "told",
]

# The longer side of the copy that sharpness is measured on, in pixels: about what networks see (160 to 288), so that a
# picture counts as blurry where a network cannot tell its edges either. Smaller pictures are never enlarged.
SHARPNESS_SIDE = 256
# Where halving a JPEG while it is decoded leaves this much, it is left so: averaging 500 pixels to 256 takes twice as
# long as decoding them, and sharpness is compared in powers of two.
NEARLY_SHARPNESS_SIDE = 240


def facts_of(image: Image.Image, *, format_name: str, mode: str) -> ImageFacts:
    """Return what later steps need to know of a picture, so that it is decoded once.

    `image` is the upright RGB picture; a JPEG may have been decoded at a reduced size, as long as its longer side
    still is `NEARLY_SHARPNESS_SIDE` or more. `format` and `mode` are what Pillow called the file before it became RGB.
    """
    return next(told(measure(small_copy(image), 1), [(format_name, mode)]))


def told(measures: Measures, kinds: Iterable[tuple[str, str]]) -> Iterator[ImageFacts]:
    """The facts of each measured picture; `kinds` are their formats and modes."""
    hashes = measures.hashes.tobytes().hex()
    numbers = zip(*(column.tolist() for column in measures[2:]), strict=True)
    for row, ((format_name, mode), signature, numbered) in enumerate(
        zip(kinds, measures.signatures, numbers, strict=True)
    ):
        brightness, contrast, sharpness, low, high, entropy = numbered
        yield ImageFacts(
            format=format_name,
            mode=mode,
            perceptual_hash=hashes[16 * row : 16 * row + 16],
            brightness=brightness,
            contrast=contrast,
            sharpness=sharpness,
            low=low,
            high=high,
            entropy=entropy,
            signature=base64.b64encode(signature.tobytes()).decode("ascii"),
        )


def fact_columns(measures: Measures, kinds: Sequence[tuple[str, str]]) -> dict[str, list[str] | npt.NDArray[Any]]:
    """As `told`, a column for each field; signatures as bytes, a row for each picture."""
    hashes = measures.hashes.tobytes().hex()
    return {
        "format": [name for name, _ in kinds],
        "mode": [mode for _, mode in kinds],
        "perceptual_hash": [hashes[start : start + 16] for start in range(0, len(hashes), 16)],
        "brightness": measures.brightness,
        "contrast": measures.contrast,
        "sharpness": measures.sharpness,
        "low": measures.low,
        "high": measures.high,
        "entropy": measures.entropy,
        "signature": measures.signatures,
    }


def read_signature(signature: str) -> npt.NDArray[np.uint8]:
    """Return the tiny picture in a signature: uint8 [144 + 18], 12 x 12 luminance, then 3 x 3 blue and red chroma."""
    return np.frombuffer(base64.b64decode(signature), dtype=np.uint8)


def small_copy(image: Image.Image) -> Image.Image:
    """The picture with its longer side at most `SHARPNESS_SIDE`; averaging keeps the mean as it was."""
    longest = max(image.size)
    if longest <= SHARPNESS_SIDE:
        return image
    scale = SHARPNESS_SIDE / longest
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
