"""Results as text tables. Takes the JSON of the API, so that a client can print them too; it computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

Rows = Sequence[Mapping[str, Any]]


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}%"


def number(value: float | None, pattern: str = "{:.1f}") -> str:
    return "" if value is None else pattern.format(value)


def _table(title: str, columns: Mapping[str, bool]) -> Table:
    """An empty table; a column's value says whether it holds numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for place, (name, numeric) in enumerate(columns.items()):
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=place > 1)
    return table


def leaderboard(rows: Rows, *, ranked_by: str = "accuracy") -> Group:
    """One line a candidate, in the order of the ranking; below, what was tried on each and why it stopped.

    The column of validation shows the score that ranked, `ranked_by`.
    """
    validation = f"val_{ranked_by}"
    words = ("network", "weights", "strategy")
    numbers = ("valid.", "test", "F1", "train s", "ms/img")  # short, so that a line fits into 80 columns
    table = _table("Leaderboard", {"": True, **dict.fromkeys(words, False), **dict.fromkeys(numbers, True)})
    for row in rows:
        table.add_row(
            number(row["rank"], "{:d}") + ("=" if row.get("tie") else ""),
            Text(row["name"]),
            row.get("weights_source") or row.get("weights") or "",
            row["strategy"] if row["status"] == "ok" else row["status"],
            percent(row.get(validation)),
            percent(row["accuracy"]),
            number(row["macro_f1"], "{:.3f}"),
            number(row["train_seconds"]),
            number(row["predict_ms_per_image"]),
        )
    tie = [Text("=: a tie, the images cannot tell it from the best")] if any(row.get("tie") for row in rows) else []
    return Group(table, *tie, *(Text(line) for line in map(_story, rows) if line))


def _story(row: Mapping[str, Any]) -> str:
    """What was tried, on how many images, and why it ended there; the baseline's name says it all."""
    if row["strategy"] == "baseline":
        return ""
    images = f"{row['train_images']} images" if row.get("train_images") else ""
    tried = ", ".join(part for part in (row.get("tried"), images) if part)
    reason = row.get("reason") or ""
    if not (row.get("tried") or reason):
        return ""
    return f"{row['name']}: {'. '.join(part.rstrip('.') for part in (tried, reason) if part)}."


def per_class(rows: Rows) -> Table:
    """Precision, recall, F1 and support of each class."""
    several = any(row.get("threshold") is not None for row in rows)
    columns = {"class": False, "precision": True, "recall": True, "F1": True, "support": True}
    if several:
        columns |= {"average precision": True, "threshold": True}
    table = _table("Per label" if several else "Per class", columns)
    for row in rows:
        scores = [number(row[key], "{:.3f}") for key in ("precision", "recall", "f1")]
        more = [number(row.get(key), "{:.3f}") for key in ("average_precision", "threshold")] if several else []
        table.add_row(Text(row["label"]), *scores, number(row["support"], "{:d}"), *more)
    return table


def in_words(name: str, test: Mapping[str, Any], total: int) -> str:
    """The answer in one sentence."""
    low, high = test["accuracy_ci95"]
    if test.get("mean_average_precision") is not None:
        return (
            f"{name} has every label right on {round(test['accuracy'] * total)} of {total} images it never saw, and of "
            f"all labels {percent(1 - test['hamming_loss'])}: macro F1 {test['macro_f1']:.3f}, mean average precision "
            f"{test['mean_average_precision']:.3f}."
        )
    return (
        f"{name} is right on {round(test['accuracy'] * total)} of {total} images it never saw: "
        f"{percent(test['accuracy'])}, with 95% confidence {percent(low)} to {percent(high)}."
    )


def sweep(rows: Rows, *, swept: Sequence[str]) -> Table:
    """One line a run of a sweep: what was varied, and what came of it or why nothing did."""
    table = Table(
        title="Runs", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False
    )
    for name in ("", *swept, "network"):
        table.add_column(Text(name), overflow="fold", min_width=len(str(len(rows))))
    for name in ("epoch", "valid. F1", "test", "test F1", "s"):
        table.add_column(name, justify="right", overflow="fold", min_width=5)
    for row in rows:
        failed = row["status"] == "failed"
        table.add_row(
            row["run"],
            *(Text(row[name]) for name in swept),
            Text("failed", style="red") if failed else Text(row["network"]),
            number(row["best_epoch"], "{:d}"),
            number(row["val_macro_f1"], "{:.3f}"),
            percent(row["accuracy"]),
            number(row["macro_f1"], "{:.3f}"),
            number(row["seconds"]),
        )
    reasons = [f"{row['run']}: {row['reason']}" for row in rows if row["status"] == "failed"]
    if reasons:
        table.caption, table.caption_justify = Text("\n".join(reasons)), "left"
    return table
