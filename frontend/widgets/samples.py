"""The sample ZIPs that come with Sightglass: a visible list, shown as far as the files are there."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parents[2] / "sample_datasets"
NAMES = ("shapes", "digits")


class Sample(NamedTuple):
    name: str
    path: Path


def available() -> list[Sample]:
    found = [Sample(name, FOLDER / f"{name}.zip") for name in NAMES]
    return [sample for sample in found if sample.path.is_file()]
