"""What facts are made of, for many pictures of one size at once: light, sharpness, hashes, signatures. Pure arrays.

One picture at a time these take 0.2 ms, nearly all of it calls on arrays of a few hundred bytes; for a few hundred
pictures of 32 x 32 pixels together they take 0.01 ms a picture. The pictures stand in a column, one below the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

HASH_SIDE = 32  # as in imagehash's phash: the 8 x 8 lowest frequencies of a 32 x 32 copy
HASH_BITS = 8
LIGHT_SIDE, COLOUR_SIDE = 12, 3
LOW_SHARE, HIGH_SHARE = 0.05, 0.95
# From here on Pillow's histogram, in C but a call a picture, is quicker than counting all at once.
LARGE_PIXELS = 8192

Floats = npt.NDArray[np.floating[Any]]
Bytes = npt.NDArray[np.uint8]
Resampled = Callable[[Image.Image], Image.Image]


class Measures(NamedTuple):
    """One row a picture, in the order of the column."""

    hashes: Bytes  # [N, 8] perceptual hash
    signatures: Bytes  # [N, 144 + 18]
    brightness: Floats  # [N] 0..1, as all that follow but sharpness and entropy
    contrast: Floats
    sharpness: Floats
    low: Floats
    high: Floats
    entropy: Floats


def measure(column: Image.Image, count: int) -> Measures:
    """Measure `count` pictures of one size, which stand below each other in an RGB image."""
    width, height = column.width, column.height // count
    light = column.convert("L")
    grey = np.asarray(light).reshape(count, height, width)
    whole, pixels = _histograms(light, grey), width * height
    counts = whole.astype(np.float64)
    # sums of whole numbers are exact, so that a picture's facts do not depend on its neighbours in the column
    mean = counts @ _LEVELS / pixels
    below = np.cumsum(whole, axis=1)
    values = grey.astype(np.float32)
    return Measures(
        hashes=_perceptual_hashes(light, values),
        signatures=np.concatenate([_tiny(values), _colours(column, count)], axis=1),
        brightness=np.round(mean / 255, 4),
        contrast=np.round(np.sqrt(np.maximum(0.0, counts @ _LEVELS**2 / pixels - mean**2)) / 255, 4),
        sharpness=np.round(_laplacian_variance(grey), 2),
        low=np.round((below < LOW_SHARE * pixels).argmin(axis=1) / 255, 4),  # the first level that reaches the share
        high=np.round((below < HIGH_SHARE * pixels).argmin(axis=1) / 255, 4),
        entropy=np.round(_entropy(counts / pixels), 3),
    )


def put_together(parts: Sequence[Measures], order: npt.NDArray[np.int64]) -> Measures:
    """The rows of all parts as one; `order` says which row of the whole stands where."""
    columns = zip(*parts, strict=True)
    return Measures(*((column[0] if len(parts) == 1 else np.concatenate(column))[order] for column in columns))


def no_measures() -> Measures:
    """Of no picture."""
    one = measure(Image.new("RGB", (1, 1)), 1)
    return put_together([one], np.empty(0, dtype=np.int64))


def _histograms(light: Image.Image, grey: Bytes) -> npt.NDArray[np.int64]:
    """How often each of the 256 levels occurs, [N, 256]."""
    count, height, width = grey.shape
    if height * width >= LARGE_PIXELS:
        return np.array([one.histogram() for one in _each(light, count)], dtype=np.int64)
    numbered = grey.reshape(count, -1).astype(np.int64)
    numbered += (256 * np.arange(count))[:, None]
    return np.bincount(numbered.ravel(), minlength=256 * count).reshape(count, 256)


def _entropy(share: Floats) -> Floats:
    """In bits; nothing times the logarithm of nothing is nothing."""
    entropy: Floats = -(share * np.log2(np.where(share > 0, share, 1.0))).sum(axis=1)
    return np.maximum(0.0, entropy)


def _laplacian_variance(grey: Bytes) -> Floats:
    """Variance of the 4-neighbour Laplacian; 0 where the pictures are too small to have an inside."""
    count, height, width = grey.shape
    if min(height, width) < 3:
        return np.zeros(count)
    # All rows of all pictures in one line: the neighbours of an edge pixel are wrong there, and those are left out.
    line = grey.ravel().astype(np.int16)
    edges = np.empty_like(line)
    inside = np.add(line[: -2 * width], line[2 * width :], out=edges[width:-width])
    inside += line[width - 1 : -width - 1]
    inside += line[width + 1 : line.size - width + 1]
    inside -= line[width:-width] << 2
    flat = np.ascontiguousarray(edges.reshape(grey.shape)[:, 1:-1, 1:-1]).reshape(count, -1)
    mean = flat.sum(axis=1, dtype=np.int64) / flat.shape[1]
    rows = flat.astype(np.float64)
    squares = np.matmul(rows[:, None, :], rows[:, :, None]).reshape(count)  # einsum takes four times as long
    variance: Floats = np.maximum(0.0, squares / flat.shape[1] - mean**2)
    return variance


def _perceptual_hashes(light: Image.Image, grey: Floats) -> Bytes:
    """The pHash (Zauner 2010) as imagehash has it: which of the lowest 8 x 8 frequencies exceed their median."""
    if min(grey.shape[1:]) > 4 * HASH_SIDE:  # Lanczos from 256 pixels takes ten times what averaging first does
        grey = np.stack([np.asarray(one.reduce(2), dtype=np.float32) for one in _each(light, len(grey))])
    frequencies = (_COSINES @ _resampled(grey, HASH_SIDE, "lanczos") @ _COSINES.T).reshape(len(grey), -1)
    return np.packbits(frequencies > np.median(frequencies, axis=1, keepdims=True), axis=1)


def _tiny(grey: Floats) -> Bytes:
    return _resampled(grey, LIGHT_SIDE, "bilinear").astype(np.uint8).reshape(len(grey), -1)


def _colours(column: Image.Image, count: int) -> Bytes:
    """Blue and red chroma of 3 x 3 copies, [N, 18]."""
    width, height = column.width, column.height // count
    if height * width >= LARGE_PIXELS:
        small = np.stack([np.asarray(_row_and_column(one, COLOUR_SIDE)) for one in _each(column, count)])
        return _chroma(small.reshape(-1, COLOUR_SIDE, 3), count)
    rgb = np.asarray(column).reshape(count, height, width * 3).astype(np.float32)
    down = _weights(height, COLOUR_SIDE, "bilinear of few").T @ rgb
    across = _weights(width, COLOUR_SIDE, "bilinear of few").T @ down.reshape(count * COLOUR_SIDE, width, 3)
    return _chroma(_levels(across).astype(np.uint8), count)


def _chroma(colours: Bytes, count: int) -> Bytes:
    every = np.asarray(Image.fromarray(colours).convert("YCbCr")).reshape(count, -1, 3)
    return np.concatenate([every[:, :, 1], every[:, :, 2]], axis=1)


def _each(column: Image.Image, count: int) -> list[Image.Image]:
    """The pictures of a column as pictures of their own."""
    if count == 1:
        return [column]
    height = column.height // count
    return [column.crop((0, top, column.width, top + height)) for top in range(0, column.height, height)]


def _resampled(grey: Floats, side: int, way: str) -> Floats:
    """The pictures at side x side, whole numbers in 0..255 as Pillow gives them: rounded after each direction."""
    count, height, width = grey.shape
    across = _levels(grey @ _weights(width, side, way)) if width != side else grey
    if height == side:
        return across.reshape(count, side, side)
    return _levels(_weights(height, side, way).T @ across.reshape(count, height, side))


def _levels(values: Floats) -> Floats:
    np.rint(values, out=values)
    whole: Floats = np.clip(values, 0, 255, out=values)
    return whole


@lru_cache(maxsize=256)
def _weights(length: int, side: int, way: str) -> Floats:
    """What each of `length` pixels in a row gives to each of `side`, [length, side]: asked of Pillow itself."""
    one_each = Image.fromarray(np.eye(length, dtype=np.float32))
    return np.ascontiguousarray(np.asarray(_WAYS[way](one_each, side), dtype=np.float32))


def _row_and_column(image: Image.Image, side: int) -> Image.Image:
    return image.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)


def _row(image: Image.Image, side: int, how: Image.Resampling, *, gap: float | None = None) -> Image.Image:
    return image.resize((side, image.height), how, reducing_gap=gap)


_WAYS: dict[str, Callable[[Image.Image, int], Image.Image]] = {
    "lanczos": lambda image, side: _row(image, side, Image.Resampling.LANCZOS),
    "bilinear": lambda image, side: _row(image, side, Image.Resampling.BILINEAR),
    "bilinear of few": lambda image, side: _row(image, side, Image.Resampling.BILINEAR, gap=2.0),
}


def _cosines() -> Floats:
    """The first rows of the DCT-II of length `HASH_SIDE`; the scale of all does not matter to a median."""
    frequency = np.arange(HASH_BITS)[:, None]
    place = np.arange(HASH_SIDE)[None, :]
    return np.cos(np.pi * frequency * (2 * place + 1) / (2 * HASH_SIDE)).astype(np.float32)


_COSINES = _cosines()
_LEVELS = np.arange(256, dtype=np.float64)
