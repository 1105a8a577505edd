"""What became of many pictures, as a CSV for spreadsheets and as JSON for programs, written row by row.

It knows answers and no pictures. Both files hold the same; only in the CSV is text kept from being computed.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from backend.config import Settings
from backend.contracts import BATCH_KIND, Job, ModelInfo
from backend.data.spreadsheet import plain_cell
from backend.errors import InputError, NotFoundError
from backend.storage.folders import folders_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CSV_FILE, JSON_FILE = "predictions.csv", "predictions.json"
FORMATS = {"csv": (CSV_FILE, "text/csv; charset=utf-8"), "json": (JSON_FILE, "application/json")}
BETWEEN_LABELS = ";"
DIGITS = 6
TOP_K = 3


class BatchQuestion(NamedTuple):
    """What is asked about every picture: how many labels, and from which probability on each is present.

    `thresholds` None: the model's own.
    """

    top_k: int = TOP_K
    thresholds: Mapping[str, float] | None = None


@dataclass
class BatchSummary:
    """How it went. `seconds` are those of the whole batch, loading the model not counted."""

    images: int = 0
    errors: int = 0
    unfamiliar: int = 0
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)

    def in_words(self) -> str:
        answered = self.images - self.errors
        rate = f" at {answered / self.seconds:.0f} images/s" if self.seconds > 0 else ""
        unread = f", {self.errors} could not be read" if self.errors else ""
        strange = f", {self.unfamiliar} unlike the training images" if self.unfamiliar else ""
        return f"{answered} of {self.images} pictures answered{rate}{unread}{strange}."


class ResultWriter:
    """Writes both files into a folder; a context that ends them. Rows come in the order of the archive."""

    def __init__(self, folder: Path, info: ModelInfo, *, asked: BatchQuestion) -> None:
        self._folder, self._info = folder, info
        self._several = info.task == "multilabel"
        self._top_k = min(asked.top_k, len(info.class_names))
        own = dict(zip(info.class_names, info.thresholds or (0.5,) * len(info.class_names), strict=True))
        self._limits = tuple({**own, **(asked.thresholds or {})}[name] for name in info.class_names)
        self._open = ExitStack()
        self.summary = BatchSummary()

    def __enter__(self) -> Self:
        table = self._open.enter_context((self._folder / CSV_FILE).open("w", encoding="utf-8", newline=""))
        self._csv = csv.writer(table, lineterminator="\n")
        self._csv.writerow([plain_cell(name) for name in self._columns()])
        self._json = self._open.enter_context((self._folder / JSON_FILE).open("w", encoding="utf-8"))
        model: dict[str, Any] = {"model_id": self._info.model_id, "name": self._info.name, "task": self._info.task}
        if self._several:
            model["thresholds"] = dict(zip(self._info.class_names, self._limits, strict=True))
        self._json.write(f'{{"model": {json.dumps(model, ensure_ascii=False)},\n"images": [')
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._json.write(f'\n],\n"summary": {json.dumps(vars(self.summary), ensure_ascii=False)}}}\n')
        self._open.close()

    def answered(self, filename: str, row: npt.NDArray[np.float64], *, unfamiliar: bool) -> None:
        """Write the answer to one picture; `row` holds the probabilities [C]."""
        shares = [float(value) for value in row]
        best = sorted(range(len(shares)), key=lambda place: -shares[place])[: self._top_k]
        ranked = [
            {"label": self._info.class_names[place], "confidence": round(shares[place], DIGITS)} for place in best
        ]
        if self._several:
            present, confidence = self._present(shares)
            cells = [BETWEEN_LABELS.join(present), confidence, *(round(share, DIGITS) for share in shares)]
            labels = dict(zip(self._info.class_names, cells[2:], strict=True))
            entry: dict[str, Any] = {"predicted": present, "confidence": confidence, "labels": labels}
        else:
            present = [self._info.class_names[best[0]]]
            cells = [present[0], ranked[0]["confidence"], *(value for one in ranked for value in one.values())]
            entry = {"predicted": present[0], "confidence": ranked[0]["confidence"], "predictions": ranked}
        for label in present:
            self.summary.counts[label] = self.summary.counts.get(label, 0) + 1
        self.summary.unfamiliar += unfamiliar
        text = [plain_cell(cell) if isinstance(cell, str) else cell for cell in cells]
        self._write(filename, [*text, str(unfamiliar).lower(), ""], {**entry, "unfamiliar": unfamiliar})

    def failed(self, filename: str, reason: str) -> None:
        """Write why one file has no answer."""
        self.summary.errors += 1
        empty = [""] * (len(self._columns()) - 2)
        self._write(filename, [*empty, plain_cell(reason)], {"error": reason})

    def _write(self, filename: str, cells: list[Any], entry: dict[str, Any]) -> None:
        self._csv.writerow([plain_cell(filename), *cells])
        line = json.dumps({"filename": filename, **entry}, ensure_ascii=False)
        self._json.write(f"{',' if self.summary.images else ''}\n{line}")
        self.summary.images += 1

    def _present(self, shares: list[float]) -> tuple[list[str], float]:
        """The labels that are present, and how sure the least sure label's decision is."""
        decided = [share >= limit for share, limit in zip(shares, self._limits, strict=True)]
        present = [name for name, there in zip(self._info.class_names, decided, strict=True) if there]
        sure = min(share if there else 1 - share for share, there in zip(shares, decided, strict=True))
        return present, round(sure, DIGITS)

    def _columns(self) -> list[str]:
        if self._several:
            own = list(self._info.class_names)
        else:
            own = [f"{what}_{rank}" for rank in range(1, self._top_k + 1) for what in ("label", "confidence")]
        return ["filename", "predicted", "confidence", *own, "unfamiliar", "error"]


def result_file(settings: Settings, job: Job, *, format: str) -> tuple[Path, str]:  # noqa: A002
    """Where a finished job's table lies, and its media type.

    Raises:
        InputError: the job makes no table, or there is no such format.
        NotFoundError: it is not there (yet); the detail says why.
    """
    if job.kind != BATCH_KIND:
        raise InputError(
            f"Job '{job.job_id}' is a '{job.kind}' and has no table to download; jobs of "
            "POST /api/cv/predict/{id}/batch have one."
        )
    if format not in FORMATS:
        raise InputError(f"There is no format '{format}'. Allowed: {', '.join(FORMATS)}.")
    name, media_type = FORMATS[format]
    folder = settings.predictions_dir / job.job_id
    if job.state == "succeeded":
        path = folders_of(settings).fetch(folder) / name
        if path.is_file():
            return path, media_type
        raise NotFoundError(f"The table of job '{job.job_id}' is gone from the data folder; send the pictures again.")
    why = job.error or job.message
    raise NotFoundError(f"Job '{job.job_id}' has no table: it is {job.state}. {why}")
