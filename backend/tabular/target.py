"""What is to be predicted: classes or a number, told from the column and changeable; and which rows can be used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from backend.contracts.table import TableColumn, TableInfo, TableRecipe, TableTask
from backend.errors import RecipeError, TableError
from backend.registry import nearest
from backend.tabular.cells import as_numbers, as_text, as_truth

# A column of numbers with at most so many different whole values, each of them frequent, holds classes.
FEW_VALUES = 20
MOST_CLASSES = 200
LEAST_ROWS = 20
LEAST_A_CLASS = 2


@dataclass(frozen=True)
class Target:
    """What models learn to answer. `rows` are the places in the table that can be used.

    `values`: class numbers int64 [N] in the order of `class_names`, or float64 [N]. `drawn` is the note
    that says how many rows were drawn, where not all were taken.
    """

    task: TableTask
    rows: npt.NDArray[np.int64]
    values: npt.NDArray[np.int64] | npt.NDArray[np.float64]
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    drawn: str | None = None


def guess_task(column: TableColumn) -> TableTask:
    """Tell from a column whether it holds classes or amounts."""
    if column.kind != "number":
        return "classification"
    whole = all(value.lstrip("+-").isdigit() for value in column.examples)
    return "classification" if whole and column.unique <= FEW_VALUES else "regression"


def check_target(info: TableInfo, recipe: TableRecipe) -> TableColumn:
    """Return the target's column.

    Raises:
        RecipeError: there is no such column, it cannot be predicted, or an excluded column does not exist.
    """
    names = [column.name for column in info.columns]
    for name in (recipe.target, *recipe.exclude):
        if name not in names:
            shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            raise RecipeError(f"The table has no column '{name}'.{nearest(name, names)} It has: {shown}.")
    column = info.column(recipe.target)
    assert column is not None  # noqa: S101 - just looked for
    if column.kind in {"constant", "empty"}:
        raise RecipeError(f"'{column.name}' cannot be predicted: {column.note} Choose another target.")
    if recipe.task == "regression" and column.kind not in {"number", "boolean"}:
        raise RecipeError(
            f"'{column.name}' holds words, not numbers, so regression has no meaning; ask for classification."
        )
    if (recipe.task or guess_task(column)) == "classification" and column.unique > MOST_CLASSES:
        raise RecipeError(
            f"'{column.name}' has {column.unique:,} different values; at most {MOST_CLASSES} classes can be told "
            f"apart. Choose another target{', or ask for regression' if column.kind == 'number' else ''}."
        )
    return column


def make_target(cells: pd.Series, column: TableColumn, *, task: TableTask | None, decimal: str) -> Target:
    """Return what is to be learned from a column's cells.

    Raises:
        TableError: too few rows have a value, or fewer than two classes have enough.
    """
    task = task or guess_task(column)
    if task == "regression":
        return _amounts(cells, column, decimal)
    text = as_text(cells)
    counts = text.value_counts()
    known = sorted(str(name) for name in counts[counts >= LEAST_A_CLASS].index)
    if len(known) < 2:
        raise TableError(
            f"'{column.name}' has fewer than two classes with {LEAST_A_CLASS} rows each: nothing to tell apart."
        )
    known = _in_order(known)
    place = {name: number for number, name in enumerate(known)}
    codes = text.map(place)
    rows = np.flatnonzero(codes.notna().to_numpy())
    _require_rows(len(rows), column)
    notes = _left_out(len(text), len(rows), column)
    rare = [str(name) for name in counts[counts < LEAST_A_CLASS].index]
    if rare:
        shown = ", ".join(f"'{name}'" for name in rare[:5])
        notes.append(f"{len(rare)} classes have a single row and were left out: {shown}.")
    values = codes.to_numpy(dtype=np.float64, na_value=np.nan)[rows].astype(np.int64)
    return Target("classification", rows, values, tuple(known), tuple(notes))


def _amounts(cells: pd.Series, column: TableColumn, decimal: str) -> Target:
    values = as_truth(cells) if column.kind == "boolean" else as_numbers(cells, decimal="," if decimal == "," else ".")
    rows = np.flatnonzero(np.isfinite(values))
    _require_rows(len(rows), column)
    return Target("regression", rows, values[rows], notes=tuple(_left_out(len(values), len(rows), column)))


def _in_order(names: list[str]) -> list[str]:
    """Numbers by size, words by the alphabet."""
    try:
        return sorted(names, key=float)
    except ValueError:
        return names


def _require_rows(count: int, column: TableColumn) -> None:
    if count < LEAST_ROWS:
        raise TableError(
            f"Only {count} rows have a usable value in '{column.name}'; at least {LEAST_ROWS} are needed to learn."
        )


def _left_out(all_rows: int, used: int, column: TableColumn) -> list[str]:
    missing = all_rows - used
    return [f"{missing:,} rows have no usable value in '{column.name}' and were left out."] if missing else []
