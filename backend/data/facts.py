"""What one decoding tells about a picture: light, sharpness, and what near copies of it have in common. Pure.

It knows nothing of datasets: what counts as dark or blurry is decided by `quality`, among the pictures of a dataset.
Everything is taken from a small luminance copy, so that the cost hardly depends on the picture's size.
"""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.contracts import ImageFacts

# The longer side of the copy that sharpness is measured on, in pixels: about what networks see (160 to 288), so that a
# picture counts as blurry where a network cannot tell its edges either. Smaller pictures are never enlarged.
SHARPNESS_SIDE = 256
HASH_SIDE = 32  # as in imagehash's phash: the 8 x 8 lowest frequencies of a 32 x 32 copy
HASH_BITS = 8
LIGHT_SIDE, COLOUR_SIDE = 12, 3
LOW_SHARE, HIGH_SHARE = 0.05, 0.95

Floats = npt.NDArray[np.floating[Any]]


def facts_of(image: Image.Image, *, format_name: str, mode: str) -> ImageFacts:
    """Return what later steps need to know of a picture, so that it is decoded once.

    `image` is the upright RGB picture; a JPEG may have been decoded at a reduced size, as long as its longer side
    still is `SHARPNESS_SIDE` or more. `format` and `mode` are what Pillow called the file before it became RGB.
    """
    small = _small(image)
    grey = small.convert("L")
    counts = np.asarray(grey.histogram(), dtype=np.float64)
    share = counts / counts.sum()
    mean = float(share @ _LEVELS)
    below = np.cumsum(share)
    low, high = np.searchsorted(below, [LOW_SHARE, HIGH_SHARE])
    return ImageFacts(
        format=format_name,
        mode=mode,
        perceptual_hash=_perceptual_hash(grey),
        brightness=round(mean / 255, 4),
        contrast=round(math.sqrt(share @ (_LEVELS - mean) ** 2) / 255, 4),
        sharpness=round(_laplacian_variance(np.asarray(grey, dtype=np.float32)), 2),
        low=round(float(low) / 255, 4),
        high=round(float(high) / 255, 4),
        entropy=round(float(grey.entropy()), 3),
        signature=_signature(small, grey),
    )


def read_signature(signature: str) -> npt.NDArray[np.uint8]:
    """Return the tiny picture in a signature: uint8 [144 + 18], 12 x 12 luminance, then 3 x 3 blue and red chroma."""
    return np.frombuffer(base64.b64decode(signature), dtype=np.uint8)


def _small(image: Image.Image) -> Image.Image:
    """The picture with its longer side at most `SHARPNESS_SIDE`; averaging keeps the mean as it was."""
    longest = max(image.size)
    if longest <= SHARPNESS_SIDE:
        return image
    scale = SHARPNESS_SIDE / longest
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


def _laplacian_variance(light: Floats) -> float:
    """Variance of the 4-neighbour Laplacian; 0 where the picture is too small to have an inside."""
    if min(light.shape) < 3:
        return 0.0
    inner = light[1:-1, 1:-1]
    edges = light[:-2, 1:-1] + light[2:, 1:-1] + light[1:-1, :-2] + light[1:-1, 2:] - 4 * inner
    return float(edges.var())


def _perceptual_hash(grey: Image.Image) -> str:
    """Return the pHash (Zauner 2010) as imagehash has it: which of the lowest 8 x 8 frequencies exceed their median.

    By one small matrix product, which takes 0.03 ms; imagehash goes through SciPy and would decode sizes we have.
    """
    if min(grey.size) > 4 * HASH_SIDE:  # Lanczos from 256 pixels takes ten times what averaging first does
        grey = grey.reduce(2)
    small = np.asarray(grey.resize((HASH_SIDE, HASH_SIDE), Image.Resampling.LANCZOS), dtype=np.float32)
    frequencies = _COSINES @ small @ _COSINES.T
    return np.packbits(frequencies > np.median(frequencies)).tobytes().hex()


def _signature(small: Image.Image, grey: Image.Image) -> str:
    """A thumbnail in 162 bytes, base64: what tells near copies from pictures that only share their outline."""
    light = grey.resize((LIGHT_SIDE, LIGHT_SIDE), Image.Resampling.BILINEAR)
    colours = small.resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0).convert("YCbCr")
    _, blue, red = colours.split()
    return base64.b64encode(light.tobytes() + blue.tobytes() + red.tobytes()).decode("ascii")


def _cosines() -> Floats:
    """The first rows of the DCT-II of length `HASH_SIDE`; the scale of all does not matter to a median."""
    frequency = np.arange(HASH_BITS)[:, None]
    place = np.arange(HASH_SIDE)[None, :]
    return np.cos(np.pi * frequency * (2 * place + 1) / (2 * HASH_SIDE)).astype(np.float32)


_COSINES = _cosines()
_LEVELS = np.arange(256, dtype=np.float64)
