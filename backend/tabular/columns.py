"""What each column is: a number, a category, a date, a text, or nothing to learn from; and what a person should know.

It sees one column at a time, and so knows nothing of targets; `target` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from backend.contracts.table import ColumnKind, Decimal, TableColumn
from backend.tabular.cells import LOOKS_LIKE_A_DATE, as_numbers, as_seconds, as_text, as_truth
from backend.tabular.reading import RawTable

# Of the cells that are there, so many must fit a kind; the others count as missing and are named.
FITTING_SHARE = 0.95
# A column of words whose values hardly repeat is no category; of fewer rows nothing is said.
ID_SHARE, TEXT_SHARE = 0.95, 0.5
ROWS_FOR_ID = 20
WORDS_OF_TEXT = 3
SAMPLE = 2_000
MARKS: tuple[Decimal, ...] = (".", ",")
EXAMPLES = 5
LONGEST_EXAMPLE = 40
ID_NAME = re.compile(r"(^|[_\s-])(id|uuid|guid|index|idx|nr|no|number|key)$|^unnamed|^column_1$", re.IGNORECASE)


@dataclass(frozen=True)
class _Seen:
    """One column while it is looked at."""

    cells: pd.Series
    text: pd.Series
    unique: int

    @property
    def present(self) -> int:
        return int(self.text.notna().sum())


def describe_columns(table: RawTable) -> tuple[tuple[TableColumn, ...], Decimal]:
    """Return what each column is, and the decimal mark of the numbers."""
    decimal = _decimal(table)
    return tuple(_describe(name, table.frame[name], decimal) for name in table.frame.columns), decimal


def _decimal(table: RawTable) -> Decimal:
    """The comma where more cells are numbers by it. Only text has the choice."""
    counts = dict.fromkeys(MARKS, 0)
    for name in table.frame.columns:
        cells = table.frame[name].head(SAMPLE)
        if pd.api.types.is_numeric_dtype(cells.dtype):
            continue
        text = as_text(cells)
        marked = text[text.str.contains("[,.]", regex=True).fillna(value=False)]
        for mark in MARKS:
            counts[mark] += int(np.isfinite(as_numbers(marked, decimal=mark)).sum()) if len(marked) else 0
    return "," if counts[","] > counts["."] else "."


def _describe(name: str, cells: pd.Series, decimal: Decimal) -> TableColumn:
    text = as_text(cells)
    seen = _Seen(cells, text, int(text.nunique()))
    column = TableColumn(
        name=name,
        kind="category",
        missing=int(text.isna().sum()),
        unique=seen.unique,
        examples=tuple(str(cell)[:LONGEST_EXAMPLE] for cell in text.dropna().drop_duplicates().head(EXAMPLES)),
    )
    if seen.present == 0:
        return column.model_copy(update={"kind": "empty", "note": "Every cell is missing."})
    if seen.unique == 1 and not column.missing:  # else that a cell is missing may say something
        return column.model_copy(update={"kind": "constant", "note": f"Always '{column.examples[0]}'."})
    for find in (_as_truth_column, _as_number_column, _as_date_column):
        found = find(column, seen, decimal)
        if found is not None:
            return found
    return _as_words(column, seen)


def _as_truth_column(column: TableColumn, seen: _Seen, decimal: Decimal) -> TableColumn | None:
    del decimal
    if pd.api.types.is_bool_dtype(seen.cells.dtype):
        return column.model_copy(update={"kind": "boolean"})
    words = set(seen.text.dropna().head(SAMPLE).str.lower())
    # 0 and 1 alone are numbers, which they are to a model anyway
    if words <= {"0", "1"} or np.isfinite(as_truth(seen.text)).sum() != seen.present:
        return None
    return column.model_copy(update={"kind": "boolean"})


def _as_number_column(column: TableColumn, seen: _Seen, decimal: Decimal) -> TableColumn | None:
    values = as_numbers(seen.cells, decimal=decimal)
    if not _mostly(values, seen):
        return None
    known = values[np.isfinite(values)]
    update = {"kind": "number", "note": _misfits(seen, values, "no numbers"), "missing": int(np.isnan(values).sum())}
    whole = bool(np.all(known == np.round(known)))
    if whole and seen.unique == len(seen.text) >= ROWS_FOR_ID and (_counts_up(known) or ID_NAME.search(column.name)):
        update = {"kind": "id", "note": "Different in every row, like a number that was only counted up."}
    return column.model_copy(
        update={**update, "minimum": float(known.min()), "maximum": float(known.max()), "mean": float(known.mean())}
    )


def _counts_up(values: np.ndarray) -> bool:
    steps = np.diff(values)
    return len(steps) > 0 and bool(np.all(steps == steps[0])) and steps[0] != 0


def _as_date_column(column: TableColumn, seen: _Seen, decimal: Decimal) -> TableColumn | None:
    del decimal
    sample = seen.text.dropna().head(SAMPLE)
    if sum(bool(LOOKS_LIKE_A_DATE.match(cell)) for cell in sample) < FITTING_SHARE * len(sample):
        return None
    by: Callable[[bool], np.ndarray] = lambda first: as_seconds(seen.text, day_first=first)  # noqa: E731
    plain, turned = by(False), by(True)
    # 13.4. is a date only with the day first; where both ways fit, points mean that the day comes first
    dotted = sample.str.contains(r"^\d{1,2}\.", regex=True).mean() > 0.5
    day_first = int(np.isfinite(turned).sum()) > int(np.isfinite(plain).sum()) or (
        bool(dotted) and int(np.isfinite(turned).sum()) >= int(np.isfinite(plain).sum())
    )
    values = turned if day_first else plain
    if not _mostly(values, seen):
        return None
    known = values[np.isfinite(values)]
    return column.model_copy(
        update={
            "kind": "date",
            "day_first": day_first,
            "minimum": float(known.min()),
            "maximum": float(known.max()),
            "missing": int(np.isnan(values).sum()),
            "note": _misfits(seen, values, "no dates"),
        }
    )


def _as_words(column: TableColumn, seen: _Seen) -> TableColumn:
    share = seen.unique / seen.present
    words = float(np.mean([len(str(cell).split()) for cell in seen.text.dropna().head(SAMPLE)]))
    kind: ColumnKind = "category"
    note = ""
    if words >= WORDS_OF_TEXT and share > TEXT_SHARE:
        kind = "text"
    elif share > ID_SHARE and seen.present >= ROWS_FOR_ID:
        kind, note = "id", "Nearly every row has a value of its own, which says nothing about a new row."
    return column.model_copy(update={"kind": kind, "note": note})


def _mostly(values: np.ndarray, seen: _Seen) -> bool:
    fitting = int(np.isfinite(values).sum())
    return fitting > 0 and fitting >= FITTING_SHARE * seen.present


def _misfits(seen: _Seen, values: np.ndarray, what: str) -> str:
    """Name the cells that count as missing because they are of another kind."""
    odd = seen.text[np.isnan(values) & seen.text.notna().to_numpy()]
    if not len(odd):
        return ""
    shown = ", ".join(f"'{str(cell)[:LONGEST_EXAMPLE]}'" for cell in odd.drop_duplicates().head(3))
    return f"{len(odd):,} cells are {what} and count as missing: {shown}."
