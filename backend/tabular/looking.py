"""A look into a finished model: which columns it rests on, and what its answer does when one changes.

Permutation importance (Breiman 2001; by scikit-learn's definition) and partial dependence (Friedman 2001), of the whole
model with its preparation, so that a column means the user's column. It stops at the deadline with what it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd

from backend.contracts import RunControl
from backend.contracts.table import ColumnImportance, PartialDependence, TableColumn
from backend.tabular.cells import as_numbers
from backend.tabular.model import TableModel
from backend.tabular.scoring import Truth, score

MOST_ROWS, REPEATS = 1_000, 5
SHOWN_COLUMNS, SHOWN_CLASSES = 6, 6
GRID, AVERAGED_ROWS = 16, 200


def importances(
    model: TableModel, cells: pd.DataFrame, truth: Truth, *, seed: int, control: RunControl
) -> list[ColumnImportance]:
    """Return how much the metric falls on these rows when a column is shuffled; the most important column first."""
    generator = np.random.default_rng(seed)
    rows = generator.permutation(len(cells))[:MOST_ROWS]
    cells, truth = cells.iloc[rows].reset_index(drop=True), truth.at(rows)
    whole = score(model.info.metric, truth, model.answers(cells))
    falls: dict[str, list[float]] = {}
    # every column once before any twice, so that a deadline costs sharpness and not columns
    for _, name in product(range(REPEATS), model.names):
        control.check()
        if control.deadline.expired():
            break
        shuffled = cells.copy(deep=False)
        shuffled[name] = cells[name].to_numpy()[generator.permutation(len(cells))]
        falls.setdefault(name, []).append(whole - score(model.info.metric, truth, model.answers(shuffled)))
    found = [
        ColumnImportance(column=name, importance=float(np.mean(some)), deviation=float(np.std(some)))
        for name, some in falls.items()
    ]
    return sorted(found, key=lambda one: -one.importance)


def dependences(
    model: TableModel, cells: pd.DataFrame, columns: Sequence[str], *, seed: int, control: RunControl
) -> list[PartialDependence]:
    """Return the mean answer over at most 200 rows for each value of the first few columns."""
    rows = np.random.default_rng(seed).permutation(len(cells))[:AVERAGED_ROWS]
    some = cells.iloc[rows].reset_index(drop=True)
    described = {column.name: column for column in model.info.columns}
    found: list[PartialDependence] = []
    for name in columns[:SHOWN_COLUMNS]:
        control.check()
        if control.deadline.expired():
            break
        values = _grid(cells[name], described[name], model)
        curve = _dependence(model, some, described[name], values, control=control) if len(values) > 1 else None
        if curve is not None:
            found.append(curve)
    return found


def _grid(cells: pd.Series, column: TableColumn, model: TableModel) -> list[str | float]:
    """Values to try: spread evenly over the rows of a number, the most frequent ones of a category."""
    if column.kind == "number":
        known = as_numbers(cells, decimal=model.info.decimal)
        edges = np.unique(np.nanquantile(known, np.linspace(0.02, 0.98, GRID)))
        return [float(value) for value in edges]
    if column.kind in {"category", "boolean"}:
        return [str(value) for value in cells.dropna().astype(str).value_counts().index[:GRID]]
    return []


def _dependence(
    model: TableModel, cells: pd.DataFrame, column: TableColumn, values: Sequence[str | float], *, control: RunControl
) -> PartialDependence | None:
    """The curve of one column; None where the deadline comes in between."""
    means: list[npt.NDArray[np.float64]] = []
    for value in values:
        if control.deadline.expired():
            return None
        asked = cells.copy(deep=False)
        asked[column.name] = pd.Series([value] * len(cells), dtype=object if isinstance(value, str) else float)
        means.append(np.atleast_1d(model.answers(asked).mean(axis=0)))
    together = np.stack(means)
    names = model.info.class_names or (model.info.target,)
    # of two classes the second says it all; of many the ones that move the most
    order = [1] if len(names) == 2 else list(np.argsort(-np.ptp(together, axis=0))[:SHOWN_CLASSES])
    answers = {names[place]: tuple(float(value) for value in together[:, place]) for place in order}
    return PartialDependence(column=column.name, kind=column.kind, values=tuple(values), answers=answers)
