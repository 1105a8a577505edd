"""Makes the digits dataset: scikit-learn's bundled 8 x 8 scans, enlarged so that a person can see them.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998 (CC BY 4.0). It writes no file.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from sample_datasets.packing import Named

SIDE = 48
IMAGES_PER_CLASS = 30
_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def enlarge(scan: np.ndarray) -> Image.Image:
    """Turn an 8 x 8 scan of 0..16 into a grey 48 x 48 image: bicubic, dark ink on white."""
    small = Image.fromarray(np.round(255 - scan * (255 / 16)).astype(np.uint8))
    return small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def draw_all() -> Iterator[Named]:
    """The first 30 scans of every digit with their paths in the archive."""
    from sklearn.datasets import load_digits  # 1-2 s: only who rebuilds the archive pays

    scans = load_digits()
    for digit, name in enumerate(_NAMES):
        places = np.flatnonzero(scans.target == digit)[:IMAGES_PER_CLASS]
        for number, place in enumerate(places):
            yield f"digits/{digit}_{name}/{name}_{number:02d}.png", enlarge(scans.images[place])
