"""The facts of a picture, worked out one picture at a time by Pillow and numpy: what `facts` must agree with."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

SIDE, LEVELS = 256, np.arange(256, dtype=np.float64)


def small_of(image: Image.Image) -> Image.Image:
    longest = max(image.size)
    if longest <= SIDE:
        return image
    size = (max(1, round(image.width * SIDE / longest)), max(1, round(image.height * SIDE / longest)))
    return image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


def numbers_of(image: Image.Image) -> dict[str, float]:
    grey = small_of(image).convert("L")
    counts = np.asarray(grey.histogram(), dtype=np.float64)
    share = counts / counts.sum()
    mean = float(share @ LEVELS)
    low, high = np.searchsorted(np.cumsum(share), [0.05, 0.95])
    return {
        "brightness": mean / 255,
        "contrast": math.sqrt(share @ (LEVELS - mean) ** 2) / 255,
        "sharpness": laplacian_variance(np.asarray(grey, dtype=np.float64)),
        "low": low / 255,
        "high": high / 255,
        "entropy": grey.entropy(),
    }


def laplacian_variance(light: np.ndarray) -> float:
    if min(light.shape) < 3:
        return 0.0
    inner = light[1:-1, 1:-1]
    return float((light[:-2, 1:-1] + light[2:, 1:-1] + light[1:-1, :-2] + light[1:-1, 2:] - 4 * inner).var())


def hash_of(image: Image.Image) -> int:
    grey = small_of(image).convert("L")
    if min(grey.size) > 128:
        grey = grey.reduce(2)
    small = np.asarray(grey.resize((32, 32), Image.Resampling.LANCZOS), dtype=np.float32)
    cosines = np.cos(np.pi * np.arange(8)[:, None] * (2 * np.arange(32)[None, :] + 1) / 64).astype(np.float32)
    frequencies = cosines @ small @ cosines.T
    return int.from_bytes(np.packbits(frequencies > np.median(frequencies)).tobytes(), "big")


def signature_of(image: Image.Image) -> np.ndarray:
    small = small_of(image)
    light = small.convert("L").resize((12, 12), Image.Resampling.BILINEAR)
    colours = small.resize((3, 3), Image.Resampling.BILINEAR, reducing_gap=2.0).convert("YCbCr")
    _, blue, red = colours.split()
    return np.frombuffer(light.tobytes() + blue.tobytes() + red.tobytes(), dtype=np.uint8)
