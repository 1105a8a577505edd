"""A table and a recipe become what models are given: columns used and left out, rows, features, the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from backend.contracts.table import LEARNED_KINDS, LeftOutColumn, TableColumn, TableInfo, TableRecipe
from backend.errors import TableError
from backend.tabular.features import features_of
from backend.tabular.scoring import Truth
from backend.tabular.target import Target, check_target, make_target

NAMED = 5
# More rows than these teach little; `pace` says how many of them a time budget affords.
MOST_ROWS, MOST_CELLS = 100_000, 5_000_000


@dataclass(frozen=True)
class Prepared:
    """A table made ready. `cells`, `features` and `truth` are of the same rows, those with a usable target."""

    columns: tuple[TableColumn, ...]
    left_out: tuple[LeftOutColumn, ...]
    target: Target
    cells: pd.DataFrame
    features: pd.DataFrame
    truth: Truth

    def thinned(self, rows: int, *, seed: int, why: str) -> Prepared:
        """So many of the rows, drawn by chance, in their order; `why` is what a person should know of it."""
        if rows >= len(self.features):
            return self
        kept = np.sort(np.random.default_rng(seed).permutation(len(self.features))[:rows])
        target = replace(
            self.target,
            rows=self.target.rows[kept],
            values=self.truth.targets[kept],
            notes=(why, *(note for note in self.target.notes if note != self.target.drawn)),
        )
        cells, features = (frame.iloc[kept].reset_index(drop=True) for frame in (self.cells, self.features))
        return replace(self, target=target, cells=cells, features=features, truth=self.truth.at(kept))


def prepare(frame: pd.DataFrame, info: TableInfo, recipe: TableRecipe) -> Prepared:
    """Choose columns and rows.

    Raises:
        RecipeError: no such column, or the task does not fit it.
        TableError: nothing to learn from, or too few rows.
    """
    column = check_target(info, recipe)
    frame, drawn = _drawn(frame, seed=recipe.seed)
    target = make_target(frame[column.name], column, task=recipe.task, decimal=info.decimal)
    if drawn is not None:
        target = replace(target, drawn=drawn, notes=(drawn, *target.notes))
    used, left_out = divide_columns(info, recipe)
    require_columns(used, left_out)
    cells = frame.iloc[target.rows].reset_index(drop=True)
    features = features_of(cells, used, decimal=info.decimal)
    truth = Truth(target.task, target.values, len(target.class_names))
    return Prepared(tuple(used), tuple(left_out), target, cells, features, truth)


def _drawn(frame: pd.DataFrame, *, seed: int) -> tuple[pd.DataFrame, str | None]:
    """At most 100,000 rows and 5 million cells, drawn by chance, and what a person should know of it."""
    most = min(MOST_ROWS, MOST_CELLS // max(1, frame.shape[1]))
    if len(frame) <= most:
        return frame, None
    note = f"{most:,} of {len(frame):,} rows were drawn by chance to learn from and to be tested on."
    return frame.sample(most, random_state=seed).sort_index().reset_index(drop=True), note


def divide_columns(info: TableInfo, recipe: TableRecipe) -> tuple[list[TableColumn], list[LeftOutColumn]]:
    """Which columns are learned from, and why the others are not. The target is neither."""
    used: list[TableColumn] = []
    left_out: list[LeftOutColumn] = []
    for column in info.columns:
        if column.name == recipe.target:
            continue
        if column.name in recipe.exclude:
            left_out.append(LeftOutColumn(column=column.name, reason="It was excluded by hand."))
        elif column.kind not in LEARNED_KINDS:
            left_out.append(LeftOutColumn(column=column.name, reason=column.note))
        else:
            used.append(column)
    return used, left_out


def require_columns(used: Sequence[TableColumn], left_out: Sequence[LeftOutColumn]) -> None:
    """Raise where there is nothing to learn from.

    Raises:
        TableError: no column is used; the message says why the first ones are not.
    """
    if not used:
        reasons = "; ".join(f"'{one.column}' ({one.reason.rstrip('.')})" for one in left_out[:NAMED])
        raise TableError(f"No column is left to learn from. {reasons}.")
