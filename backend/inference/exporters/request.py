"""What an export is given and what it answers. Plain records, free of torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.contracts import DatasetInfo, ModelInfo, ParityReport, Results

ONNX_FILE, REPORT_FILE = "model.onnx", "parity.json"


def no_pictures() -> Iterator[Any]:
    """Nothing of the dataset is at hand."""
    return iter(())


def nothing_known() -> DatasetInfo | None:
    """The dataset is gone, or nobody said where it is."""
    return None


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file on the disk, and the name and media type under which it is handed out."""

    path: Path
    filename: str
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is known of a model beside its folder, where it is known.

    `results` are those of its training. `pictures` yields pictures of its dataset (Pillow images), those of the test
    first; they are opened one by one, as many as are asked for. `dataset` describes the version that it learned from.
    """

    results: Results | None = None
    dataset: Callable[[], DatasetInfo | None] = nothing_known
    pictures: Callable[[], Iterator[Any]] = no_pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The model that is exported."""

    folder: Path
    info: ModelInfo
    around: Surroundings


def file_stem(info: ModelInfo) -> str:
    """The model's name and id as a file's name: a colon, as in "timm:resnet10t", is no part of one on Windows."""
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', info.name)}-{info.model_id}"


def read_report(folder: Path) -> ParityReport | None:
    """How well the ONNX file in a folder agrees with the model; None where nothing says so."""
    try:
        return ParityReport.model_validate_json((folder / REPORT_FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
