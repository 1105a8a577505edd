"""Columns become what models learn from: a frame with one or several features a column, the same for old and new rows.

Nothing is fitted here: what depends on the rows that were learned from (means, known categories) is in the models'
pipelines, so that no fold sees another's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from backend.contracts.table import LEARNED_KINDS, Decimal, TableColumn
from backend.tabular.cells import as_numbers, as_seconds, as_text, as_truth

DAY_S = 86_400.0
# One feature a part, from the day of the year to the hour; a part that never changes costs a model nothing.
DATE_PARTS = ("days", "year", "month", "day", "weekday", "hour")


@dataclass(frozen=True)
class FeatureNames:
    """The names of the features by how they are treated."""

    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    texts: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.numbers, *self.categories, *self.texts)


def feature_names(columns: Sequence[TableColumn]) -> FeatureNames:
    """Return the features that columns give; those that cannot be learned from give none."""
    numbers: list[str] = []
    for column in columns:
        if column.kind in {"number", "boolean"}:
            numbers.append(column.name)
        elif column.kind == "date":
            numbers += [f"{column.name}: {part}" for part in DATE_PARTS]
    return FeatureNames(
        numbers=tuple(numbers),
        categories=tuple(column.name for column in columns if column.kind == "category"),
        texts=tuple(column.name for column in columns if column.kind == "text"),
    )


def features_of(cells: pd.DataFrame, columns: Sequence[TableColumn], *, decimal: Decimal) -> pd.DataFrame:
    """Return the features of rows: float64 for numbers, `object` words for categories and texts ("" is missing).

    `cells` has at least these columns, as text or typed; others are not looked at.
    """
    found: dict[str, object] = {}
    for column in columns:
        if column.kind in LEARNED_KINDS:
            found |= _features(cells[column.name], column, decimal)
    # one block of numbers and one of words: a frame made column by column is slow from some hundred on
    names = feature_names(columns)
    numbers = pd.DataFrame({name: found[name] for name in names.numbers}, index=cells.index)
    words = pd.DataFrame({name: found[name] for name in (*names.categories, *names.texts)}, index=cells.index)
    return pd.concat([numbers, words.astype(object)], axis=1)


def _features(cells: pd.Series, column: TableColumn, decimal: Decimal) -> dict[str, object]:
    if column.kind == "number":
        return {column.name: as_numbers(cells, decimal=decimal)}
    if column.kind == "boolean":
        return {column.name: as_truth(cells)}
    if column.kind == "date":
        return _date_parts(column, as_seconds(cells, day_first=column.day_first))
    return {column.name: as_text(cells).astype(object).where(as_text(cells).notna(), "").to_numpy()}


def _date_parts(column: TableColumn, seconds: np.ndarray) -> dict[str, object]:
    stamps = pd.to_datetime(pd.Series(seconds), unit="s", errors="coerce")
    parts = (
        seconds / DAY_S,
        stamps.dt.year,
        stamps.dt.month,
        stamps.dt.day,
        stamps.dt.day_of_week,
        stamps.dt.hour,
    )
    return {
        f"{column.name}: {part}": np.asarray(values, dtype=np.float64)
        for part, values in zip(DATE_PARTS, parts, strict=True)
    }
