"""Rows are divided: some held out, the rest into folds. Equal rows stay together, classes keep their shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold

from backend.errors import TableError
from backend.tabular.fitting import quiet
from backend.tabular.scoring import Truth

FOLDS = 5
LEAST_DIFFERENT = 10
BINS = 10  # of amounts, so that every part has small and large ones

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Division:
    """Places of rows. `folds` are pairs of (learn, answer) within `train`, as places of the whole table."""

    train: Rows
    test: Rows
    folds: tuple[tuple[Rows, Rows], ...]
    duplicates: int = 0


def divide(features: pd.DataFrame, truth: Truth, *, test_size: float, seed: int) -> Division:
    """Divide the rows; pure and decided by the seed alone.

    Raises:
        TableError: too few rows differ for each part to have some.
    """
    given = truth.targets
    strata = given if truth.task == "classification" else _bins(given)
    groups = _groups(features)
    test = _held_out(strata, groups, share=test_size, seed=seed)
    if not len(test) and truth.task == "regression":  # each size of amounts is one group of equal rows
        test = _held_out(np.zeros(len(given), dtype=np.int64), groups, share=test_size, seed=seed)
    different = len(np.unique(groups))
    if different < LEAST_DIFFERENT or not len(test):
        raise TableError(
            f"Only {different:,} of {len(groups):,} rows differ in what is learned from, and equal rows have to stay "
            f"together; at least {LEAST_DIFFERENT} different ones are needed, of each class more than one. "
            "Add rows, or columns that tell them apart."
        )
    train = np.setdiff1d(np.arange(len(strata)), test)
    repeated = len(groups) - len(np.unique(groups))
    return Division(train, test, tuple(_folds(train, strata, groups, seed=seed)), duplicates=repeated)


def _bins(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    edges = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.searchsorted(edges, values).astype(np.int64)


def _groups(features: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Equal rows have one number."""
    found: npt.NDArray[np.int64] = pd.factorize(pd.util.hash_pandas_object(features, index=False))[0]
    return found


def _held_out(strata: npt.NDArray[Any], groups: npt.NDArray[Any], *, share: float, seed: int) -> Rows:
    """From each stratum its share of rows, whole groups at a time; a stratum of one group stays with the learners."""
    generator = np.random.default_rng(seed)
    taken: list[int] = []
    placed: dict[int, bool] = {}
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        generator.shuffle(rows)
        wanted = round(share * len(rows)) or (1 if len(rows) > 1 else 0)
        wanted = min(wanted, len(rows) - 1)
        got = sum(placed.get(int(groups[row]), False) for row in rows)
        members: dict[int, int] = {}
        for row in rows:
            members[int(groups[row])] = members.get(int(groups[row]), 0) + 1
        for group, size in members.items():
            if group not in placed:
                placed[group] = got + size <= wanted
                got += size if placed[group] else 0
        taken += [int(row) for row in rows if placed[int(groups[row])]]
    return np.array(sorted(taken), dtype=np.int64)


def _folds(train: Rows, strata: npt.NDArray[Any], groups: npt.NDArray[Any], *, seed: int) -> list[tuple[Rows, Rows]]:
    inside, together = strata[train], groups[train]
    distinct = len(np.unique(together))
    largest = int(np.bincount(inside).max())
    options = {"shuffle": True, "random_state": seed}
    with quiet():  # a class of fewer rows than folds is divided all the same, only not evenly
        if largest < FOLDS:
            pairs = list(GroupKFold(min(FOLDS, distinct), **options).split(inside, inside, together))
        elif distinct < len(train):
            pairs = list(StratifiedGroupKFold(min(FOLDS, distinct), **options).split(inside, inside, together))
        else:
            pairs = list(StratifiedKFold(FOLDS, **options).split(inside, inside))
    return [(train[learn], train[answer]) for learn, answer in pairs if len(learn) and len(answer)]
