"""An archive as Severstal's steel data came: strips of 1600 x 256 pixels, and a CSV of run-length masks.

Drawn, so that a network sees the defects; their places are drawn too, and the masks are those of what was drawn.
"""

from __future__ import annotations

import io
import zipfile

import numpy as np
import numpy.typing as npt
from PIL import Image

WIDTH, HEIGHT = 1600, 256
DEFECTS = ("1", "3", "4")  # pits, scratches, patches; the rarest is the first
SHARES = (0.25, 0.45, 0.3)


def severstal_zip(*, images: int = 30, seed: int = 0) -> bytes:
    """A ZIP with `train.csv` and `train_images/`; some strips carry two defects, some none."""
    random = np.random.default_rng(seed)
    present = random.random((images, len(DEFECTS))) < SHARES
    for place in range(len(DEFECTS)):  # enough of each to be divided
        present[4 * place : 4 * place + 4, place] = True
    rows = ["ImageId,ClassId,EncodedPixels"]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(images):
            strip, masks = _strip(random, present[number])
            name = f"{number:08x}.jpg"
            archive.writestr(f"train_images/{name}", _jpeg(strip))
            rows += [f"{name},{defect},{_run_lengths(mask)}" for defect, mask in masks.items()]
        archive.writestr("train.csv", "\n".join(rows) + "\n")
    return buffer.getvalue()


def strip_jpeg(*defects: str, seed: int = 99) -> bytes:
    """One strip with the defects that are named."""
    random = np.random.default_rng(seed)
    strip, _ = _strip(random, np.array([name in defects for name in DEFECTS]))
    return _jpeg(strip)


def _strip(
    random: np.random.Generator, present: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.uint8], dict[str, npt.NDArray[np.bool_]]]:
    steel = 120 + 6 * random.normal(size=(HEIGHT, WIDTH)) + 12 * np.sin(np.arange(WIDTH) / random.uniform(80, 200))
    masks = {}
    for defect, here in zip(DEFECTS, present, strict=True):
        if here:
            masks[defect] = mask = _drawn(defect, random)
            steel = np.where(mask, steel + (-95 if defect == "1" else 110 if defect == "3" else -60), steel)
    return np.clip(steel, 0, 255).astype(np.uint8), masks


def _drawn(defect: str, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    if defect == "1":
        for _ in range(40):
            row, column = random.integers(20, HEIGHT - 20), random.integers(20, WIDTH - 20)
            mask |= (rows - row) ** 2 + (columns - column) ** 2 < 12**2
    elif defect == "3":
        for _ in range(6):
            start = random.integers(0, WIDTH - 60)
            mask |= (columns >= start) & (columns < start + 14)
    else:
        top, left = random.integers(0, HEIGHT // 2), random.integers(0, WIDTH // 2)
        mask |= (rows >= top) & (rows < top + 110) & (columns >= left) & (columns < left + 600)
    return mask


def _run_lengths(mask: npt.NDArray[np.bool_]) -> str:
    """Start and length of each run, from 1, by columns from top to bottom."""
    flat = np.concatenate([[False], mask.T.ravel(), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    return " ".join(f"{start} {end - start}" for start, end in zip(starts, ends, strict=True))


def _jpeg(strip: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(strip).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
