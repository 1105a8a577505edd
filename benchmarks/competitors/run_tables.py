"""A rival on tables: LightGBM, XGBoost or FLAML, fitted on given rows. Runs in the rivals' own environment.

In come `.npz` of `features` [N, D], `targets` [N], `train` and `test` (places of rows), `fold`, the number of the fold
that answers for each row of `train`, `classes` (0 of amounts) and `seed`. Out goes an `.npz` for each: for every
setting, probabilities [N, C] or amounts [N, 1], by the folds where a row is of `train`, else by a fit on all of
`train`. It scores nothing: which setting counts is said where all sides are scored alike.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import PredefinedSplit

# The first is the library's own choice; the others are slower, smaller or more careful, as ours are for its boosting.
LIGHTGBM: tuple[dict[str, Any], ...] = (
    {},
    {"learning_rate": 0.05, "n_estimators": 200, "num_leaves": 15, "reg_lambda": 1.0},
    {"learning_rate": 0.03, "n_estimators": 200, "num_leaves": 8, "min_child_samples": 10},
    {"learning_rate": 0.03, "n_estimators": 400, "num_leaves": 8, "subsample": 0.8, "subsample_freq": 1},
)
XGBOOST: tuple[dict[str, Any], ...] = (
    {},
    {"learning_rate": 0.05, "n_estimators": 200, "max_depth": 4},
    {"learning_rate": 0.03, "n_estimators": 200, "max_depth": 3},
    {"learning_rate": 0.03, "n_estimators": 400, "max_depth": 3, "subsample": 0.8, "colsample_bytree": 0.5},
)


@dataclass(frozen=True)
class Table:
    features: np.ndarray[Any, Any]
    targets: np.ndarray[Any, Any]
    train: np.ndarray[Any, Any]
    test: np.ndarray[Any, Any]
    fold: np.ndarray[Any, Any]
    classes: int
    seed: int


def read(path: Path) -> Table:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in ("features", "targets", "train", "test", "fold")}
        return Table(**arrays, classes=int(file["classes"]), seed=int(file["seed"]))


def lightgbm(table: Table) -> list[Any]:
    from lightgbm import LGBMClassifier, LGBMRegressor

    kind = LGBMClassifier if table.classes else LGBMRegressor
    return [kind(n_jobs=1, random_state=table.seed, verbosity=-1, **setting) for setting in LIGHTGBM]


def xgboost(table: Table) -> list[Any]:
    from xgboost import XGBClassifier, XGBRegressor

    kind = XGBClassifier if table.classes else XGBRegressor
    return [kind(n_jobs=1, random_state=table.seed, **setting) for setting in XGBOOST]


def flaml(table: Table, *, budget: float) -> list[Any]:
    """What FLAML chooses within its seconds, on the same folds and by the same metric."""
    from flaml import AutoML

    search = AutoML()
    search.fit(
        X_train=table.features[table.train],
        y_train=table.targets[table.train],
        task="classification" if table.classes else "regression",
        metric="accuracy" if table.classes else "r2",
        eval_method="cv",
        split_type=PredefinedSplit(table.fold),
        time_budget=budget,
        n_jobs=1,
        seed=table.seed,
        verbose=0,
    )
    return [search.model.estimator]


def answers(model: Any, table: Table) -> np.ndarray[Any, Any]:
    """Of every row, by a copy of the model that has not seen it."""
    whole = np.zeros((len(table.features), max(1, table.classes)))
    for number in np.unique(table.fold):
        _answer(model, table, table.train[table.fold != number], table.train[table.fold == number], whole)
    _answer(model, table, table.train, table.test, whole)
    return whole


def _answer(model: Any, table: Table, learn: Any, asked: Any, whole: np.ndarray[Any, Any]) -> None:
    fitted = clone(model).fit(table.features[learn], table.targets[learn])
    if table.classes:
        whole[np.ix_(asked, fitted.classes_)] = fitted.predict_proba(table.features[asked])
    else:
        whole[asked, 0] = fitted.predict(table.features[asked])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, nargs="+", help="their answers are written beside them, `.answers.npz`")
    parser.add_argument("--rival", choices=("lightgbm", "xgboost", "flaml"), required=True)
    parser.add_argument("--budget", type=float, required=True, help="seconds a table, of FLAML alone")
    chosen = parser.parse_args()
    builders: dict[str, Callable[[Table], list[Any]]] = {
        "lightgbm": lightgbm,
        "xgboost": xgboost,
        "flaml": lambda table: flaml(table, budget=chosen.budget),
    }
    for path in chosen.tables:
        table, told, took, computed = read(path), [], [], time.process_time()
        models = builders[chosen.rival](table)
        for model in models:
            told.append(answers(model, table))
            took.append(time.process_time() - computed)
            computed = time.process_time()
        done = {"answers": np.stack(told), "computed": np.array(took), "models": np.array(words(models))}
        np.savez(path.with_suffix(".answers.npz"), **done)


def words(models: list[Any]) -> list[str]:
    """Each with what was set, in one line."""
    settings = [{key: value for key, value in model.get_params().items() if value is not None} for model in models]
    pairs = zip(models, settings, strict=True)
    return [f"{type(model).__name__} {json.dumps(setting, default=str)}" for model, setting in pairs]


if __name__ == "__main__":
    main()
