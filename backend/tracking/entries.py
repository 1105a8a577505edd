"""What is written down of a run's rows and of its end: of images and of tables alike. Pure; knows no MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.contracts import LeaderboardRow, Results
from backend.contracts.table import TableResults, TableRow
from backend.tracking.plots import (
    draw_confusion_matrix,
    draw_importances,
    draw_label_confusion,
    draw_residuals,
    draw_training_curves,
)
from backend.tracking.wording import flatten

AnyRow = LeaderboardRow | TableRow
AnyResults = Results | TableResults

Numbers = Mapping[str, float | None]

SCORES = (
    "rank",
    "accuracy",
    "macro_f1",
    "mean_average_precision",
    "val_accuracy",
    "val_macro_f1",
    "val_mean_average_precision",
    "train_seconds",
    "predict_ms_per_image",
)
BEST = ("name", "timm_name", "strategy", "weights")
TABLE_SCORES = ("rank", "score", "log_loss", "mae", "rmse", "train_seconds", "predict_ms_per_row")


@dataclass(frozen=True)
class RowEntry:
    """One candidate: the name of its run, what it was, how well it did."""

    run_name: str
    scores: Numbers
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EndEntry:
    """The end of a run. `figures` are drawn only where they are written; one may turn out to be None."""

    metrics: Numbers
    tags: Mapping[str, str]
    figures: Mapping[str, Callable[[], Any]]


def row_entry(row: AnyRow) -> RowEntry:
    if isinstance(row, TableRow):
        scores = row.model_dump(include=set(TABLE_SCORES)) | _bounds("score", row.score_ci95)
        return RowEntry(row.name, scores, flatten(row.model_dump(include={"name", "tried"})))
    facts = flatten(row.model_dump(include={"name", "timm_name", "weights", "weights_source", "strategy"}))
    return RowEntry(f"{row.name} ({row.strategy})", row.model_dump(include=set(SCORES)), facts)


def end_entry(results: AnyResults) -> EndEntry:
    return _end_of_table(results) if isinstance(results, TableResults) else _end_of_images(results)


def _end_of_images(results: Results) -> EndEntry:
    scores = results.test.model_dump(exclude={"accuracy_ci95"}, exclude_none=True)
    scores |= _bounds("accuracy", results.test.accuracy_ci95) | _copies(results)
    tags = {
        f"best_{key}": str(getattr(results.best_model, key)) for key in ("name", "timm_name", "strategy", "weights")
    }
    figures: dict[str, Callable[[], Any]] = {"training_curves": lambda: draw_training_curves(results.history)}
    confusion = results.confusion_matrix
    if confusion is not None:
        figures["confusion_matrix"] = lambda: draw_confusion_matrix(confusion)
    if results.label_confusion:
        figures["confusion_matrices"] = lambda: draw_label_confusion(results.label_confusion)
    return EndEntry(scores, tags, figures)


def _end_of_table(results: TableResults) -> EndEntry:
    scores = results.test.model_dump(exclude={"score_ci95"}, exclude_none=True)
    scores |= _bounds("score", results.test.score_ci95)
    tags = {"best_name": results.best_model, "target": results.target, "task": results.task, "metric": results.metric}
    figures: dict[str, Callable[[], Any]] = {"importances": lambda: draw_importances(results.importances)}
    confusion = results.confusion_matrix
    if confusion is not None:
        figures["confusion_matrix"] = lambda: draw_confusion_matrix(confusion, of_what="rows held out")
    if results.residuals:
        figures["residuals"] = lambda: draw_residuals(results.residuals, results.target)
    return EndEntry(scores, tags, figures)


def _bounds(name: str, interval: tuple[float, float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{name}_ci95_low": low, f"{name}_ci95_high": high}


def _copies(results: Results) -> dict[str, float | None]:
    """The score with and without test images that have a copy in training, in this division or in one by chance."""
    if results.leak is None:
        return {}
    found: dict[str, float | None] = {"copies_images": results.leak.images}
    for name, one in (("own", results.leak.own), ("by_chance", results.leak.by_chance)):
        if one is not None:
            found |= {f"copies_{name}_{key}": value for key, value in one.model_dump().items()}
    return found
