"""Answers as a CSV that opens in a spreadsheet: the cells that came, then the answers. No cell is a formula there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from backend.storage.files import atomic_file
from backend.tabular.cells import as_numbers, as_text
from backend.tabular.model import TableModel

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
ROWS_AT_ONCE = 20_000


def write_answers(model: TableModel, cells: pd.DataFrame, *, into: Path) -> None:
    """Write `cells` with `prediction`, `confidence` and a column a class, or `low` and `high` beside an amount.

    Raises:
        TableError: a column that the model learned from is missing.
    """
    with atomic_file(into) as temporary:
        for start in range(0, len(cells), ROWS_AT_ONCE):
            part = cells.iloc[start : start + ROWS_AT_ONCE].reset_index(drop=True)
            told = pd.concat([harmless(part), answer_columns(model, part)], axis=1)
            told.to_csv(temporary, mode="w" if start == 0 else "a", header=start == 0, index=False, encoding="utf-8")


def answer_columns(model: TableModel, cells: pd.DataFrame) -> pd.DataFrame:
    """The answers as columns. Names that the table has itself get a mark behind them."""
    answers = model.predict(cells)
    columns: dict[str, list[object]] = {"prediction": [answer.prediction for answer in answers]}
    if model.info.task == "classification":
        columns["confidence"] = [answer.confidence for answer in answers]
        for name in model.info.class_names:
            columns[f"probability of {name}"] = [(answer.probabilities or {})[name] for answer in answers]
    else:
        columns |= {"low": [answer.low for answer in answers], "high": [answer.high for answer in answers]}
    columns["unusual"] = ["; ".join(answer.unusual) for answer in answers]
    taken = set(map(str, cells.columns))
    named = {(f"{name} (answer)" if name in taken else name): values for name, values in columns.items()}
    return harmless(pd.DataFrame(named))


def harmless(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells and names with an apostrophe before what a spreadsheet would take for a formula (OWASP, CSV injection)."""
    tamed = cells.copy()
    for name in tamed.columns:
        column = tamed[name]
        if pd.api.types.is_numeric_dtype(column.dtype):
            continue
        text = as_text(column)
        number = pd.Series(as_numbers(column), index=column.index).notna()
        risky = text.str.startswith(FORMULA_STARTS).fillna(value=False).astype(bool) & ~number
        tamed[name] = text.where(~risky, "'" + text)
    return tamed.rename(
        columns={name: f"'{name}" for name in map(str, cells.columns) if name.startswith(FORMULA_STARTS)}
    )
