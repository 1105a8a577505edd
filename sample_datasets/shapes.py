"""Draws the shapes dataset: five shapes, turned, scaled and moved, before backgrounds that tell nothing.

Every image follows from (shape, number) alone, so that the archive can be drawn again anywhere. It writes no file.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from sample_datasets.packing import Named

SIDE = 96
IMAGES_PER_CLASS = 40
_SUPERSAMPLING = 4  # drawn four times as large and scaled down: smooth edges
_SEED = 20_240_711

Points = list[tuple[float, float]]
Colour = tuple[int, int, int]


def _polygon(corners: int) -> Points:
    turn = 2 * math.pi / corners
    return [(math.sin(place * turn), -math.cos(place * turn)) for place in range(corners)]


def _circle() -> Points:
    return _polygon(64)


def _square() -> Points:
    return _polygon(4)


def _triangle() -> Points:
    return _polygon(3)


def _star() -> Points:
    outline = _polygon(10)
    return [(x, y) if place % 2 == 0 else (0.42 * x, 0.42 * y) for place, (x, y) in enumerate(outline)]


def _cross() -> Points:
    arm = 0.32
    quarter = [(-arm, -1.0), (arm, -1.0), (arm, -arm)]
    corners: Points = []
    for turn in range(4):
        cosine, sine = round(math.cos(turn * math.pi / 2)), round(math.sin(turn * math.pi / 2))
        corners += [(x * cosine - y * sine, x * sine + y * cosine) for x, y in quarter]
    return corners


SHAPES: dict[str, Callable[[], Points]] = {
    "circle": _circle,
    "cross": _cross,
    "square": _square,
    "star": _star,
    "triangle": _triangle,
}


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _background(rng: np.random.Generator, hue: float) -> Image.Image:
    """A gradient in a random direction with a few soft blobs: texture without meaning."""
    side = SIDE * _SUPERSAMPLING
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    ramp = np.clip(x * math.cos(angle) + y * math.sin(angle) + 0.5, 0, 1)[..., None]
    low = np.array(_colour(hue, rng.uniform(0.1, 0.6), rng.uniform(0.15, 0.45)))
    high = np.array(_colour(hue + rng.uniform(-0.1, 0.1), rng.uniform(0.1, 0.6), rng.uniform(0.45, 0.75)))
    image = Image.fromarray((low * (1 - ramp) + high * ramp).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(2, 6)):
        left, top = rng.uniform(-0.1, 0.9, size=2) * side
        size = rng.uniform(0.1, 0.35) * side
        colour = _colour(hue + rng.uniform(-0.1, 0.1), 0.4, rng.uniform(0.25, 0.7))
        draw.ellipse((left, top, left + size, top + size), fill=colour)
    return image.filter(ImageFilter.GaussianBlur(3 * _SUPERSAMPLING))


def draw_shape(shape: str, number: int) -> Image.Image:
    """Draw image `number` of a shape: RGB, 96 x 96."""
    rng = np.random.default_rng([_SEED, list(SHAPES).index(shape), number])
    hue, side = rng.uniform(), SIDE * _SUPERSAMPLING
    image = _background(rng, hue)
    radius = rng.uniform(0.22, 0.38) * side
    middle = side / 2 + rng.uniform(-1, 1, size=2) * (side / 2 - radius) * 0.8
    turn = rng.uniform(0, 2 * math.pi)
    cosine, sine = math.cos(turn) * radius, math.sin(turn) * radius
    corners = [(middle[0] + x * cosine - y * sine, middle[1] + x * sine + y * cosine) for x, y in SHAPES[shape]()]
    # The opposite hue, so that no shape melts into its background.
    ImageDraw.Draw(image).polygon(corners, fill=_colour(hue + 0.5 + rng.uniform(-0.15, 0.15), 0.75, 0.95))
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    noisy = small + rng.normal(0, 4, size=small.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def draw_all() -> Iterator[Named]:
    """Every image of the dataset with its path in the archive."""
    for shape in SHAPES:
        for number in range(IMAGES_PER_CLASS):
            yield f"shapes/{shape}/{shape}_{number:02d}.jpg", draw_shape(shape, number)
