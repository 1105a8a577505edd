"""Many runs of one dataset, one after the other: the archive is imported once, a run that fails is a row.

It does not know what is swept, nor how a run is trained: `train` is told options and a folder.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from backend.contracts import Results
from backend.contracts.base import Record
from backend.contracts.experiment import Experiment
from backend.errors import RecipeError, SightglassError
from backend.storage.files import atomic_write
from backend.workflows.train_images import UNNAMED, recipe_from

log = logging.getLogger(__name__)

SUMMARY_FILE = "summary.csv"
Planned = tuple[dict[str, str], dict[str, Any]]  # what is swept, as it was written, and all options
Train = Callable[[dict[str, Any], Path], tuple[Results, Path]]


class SweepRow(Record):
    """One run. Scores of validation are those that ranked it; those without `val_` are on test."""

    run: str
    swept: dict[str, str]
    status: Literal["ok", "failed"]
    network: str | None = None
    best_epoch: int | None = None
    val_accuracy: float | None = None
    val_macro_f1: float | None = None
    val_mean_average_precision: float | None = None
    accuracy: float | None = None
    macro_f1: float | None = None
    mean_average_precision: float | None = None
    seconds: float | None = None
    reason: str | None = None

    def flat(self) -> dict[str, Any]:
        """As a row of a table: what is swept in columns of its own."""
        plain = self.model_dump(exclude={"swept"})
        return {"run": plain.pop("run"), **self.swept, **plain}


def require_sense(planned: Sequence[Planned]) -> None:
    """Raise where a run has a value that no dataset could make right, before hours are spent on those before it.

    What only the data or the network can tell (bce has no gamma, a transformer no maps) is that run's own failure: of a
    product of values some often do not go together.

    Raises:
        RecipeError: that of the first such run, which it names.
    """
    for swept, options in planned:
        try:
            recipe_from(options, UNNAMED).check_overrides()
        except RecipeError as error:
            values = " ".join(f"{key}={value}" for key, value in swept.items())
            raise RecipeError(f"{error.detail} It is the run with {values}; none was begun.") from error


def run_sweep(
    planned: Sequence[Planned], *, out: Path, train: Train, on_row: Callable[[SweepRow], None]
) -> list[SweepRow]:
    """Train each into a numbered folder of `out`; after each run the summary in `out` is up to date."""
    rows: list[SweepRow] = []
    width = len(str(len(planned)))
    for number, (swept, options) in enumerate(planned, start=1):
        name = f"{number:0{width}}"
        rows.append(_row(name, swept, options, folder=out / name, train=train))
        atomic_write(out / SUMMARY_FILE, as_csv(rows))
        on_row(rows[-1])
    return rows


def _row(name: str, swept: dict[str, str], options: dict[str, Any], *, folder: Path, train: Train) -> SweepRow:
    try:
        results, _ = train(options, folder)
    except SightglassError as error:
        return SweepRow(run=name, swept=swept, status="failed", reason=" ".join(error.detail.split()))
    except Exception as error:  # a run's edge: what befell this one need not befall the next
        log.exception("a run of the sweep failed", extra={"run": name})
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return SweepRow(run=name, swept=swept, status="failed", reason=reason)
    experiment = results.experiment or Experiment(
        network=results.best_model.name, timm_name=results.best_model.timm_name
    )
    return SweepRow(
        run=name,
        swept=swept,
        status="ok",
        network=results.best_model.name,
        best_epoch=experiment.best_epoch,
        **{f"val_{score}": value for score, value in experiment.best_validation.items()},
        accuracy=results.test.accuracy,
        macro_f1=results.test.macro_f1,
        mean_average_precision=results.test.mean_average_precision,
        seconds=round(results.total_seconds, 1),
    )


def as_csv(rows: Sequence[SweepRow]) -> str:
    """The table as CSV; columns that are empty in every row are left out."""
    flat = [row.flat() for row in rows]
    columns = [
        name
        for name in dict.fromkeys(key for row in flat for key in row)
        if any(row.get(name) is not None for row in flat)
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()
