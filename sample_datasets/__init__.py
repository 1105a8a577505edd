"""Two small datasets that travel with the code, the scripts that made them, and the fetcher of two real ones.

`SAMPLES` is what the UI and the demo offer. This file draws and fetches nothing and imports no library.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A ZIP beside this file."""

    name: str
    title: str
    description: str

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.zip"


SAMPLES: tuple[Sample, ...] = (
    Sample(
        name="shapes",
        title="Shapes",
        description="5 shapes, 40 colour drawings each of 96 x 96 pixels: circle, cross, square, star, triangle.",
    ),
    Sample(
        name="digits",
        title="Handwritten digits",
        description="10 digits, 30 grey images each of 48 x 48 pixels, from scikit-learn's digits (UCI, 1998).",
    ),
)


def sample_path(name: str) -> Path:
    """Return the ZIP of a sample.

    Raises:
        KeyError: no such sample; the message names those there are.
    """
    for sample in SAMPLES:
        if sample.name == name:
            return sample.path
    raise KeyError(f"There is no sample '{name}'. There are: {', '.join(sample.name for sample in SAMPLES)}.")
