"""One model fitted on some rows, and its answers for others. It knows no folds, no budget and no files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from backend.contracts.table import TableTask
from backend.tabular.features import FeatureNames
from backend.tabular.models import TableModelSpec, Tuning, build_pipeline

# A class that a fold's rows do not have gets this probability: no logarithm of nothing.
LEAST = 1e-6
# Threads of OpenMP wait for each other by spinning: with two of them, on two cores that others use as well, boosting
# took 60 s for 1,000 rows and 57 s for 80,000; with one 0.7 s and 5 s. Only large fits get more, and never all cores.
ROWS_FOR_THREADS = 20_000

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Learner:
    """A model with its settings, ready to be fitted as often as there are folds."""

    spec: TableModelSpec
    tuning: Tuning
    task: TableTask
    features: FeatureNames
    classes: int
    seed: int
    threads: int = 1

    def fit(self, features: pd.DataFrame, values: Array) -> Pipeline:
        """Fit on all rows given; `values` are class numbers or amounts.

        Raises:
            ValueError: scikit-learn cannot fit these rows, and says why.
        """
        pipeline = build_pipeline(self.spec, self.task, features=self.features, tuning=self.tuning, seed=self.seed)
        if self.spec.parallel:
            pipeline.set_params(model__n_jobs=self.threads)
        with quiet(), libraries_on(self.threads // 2 if len(features) >= ROWS_FOR_THREADS else 1):
            pipeline.fit(features, values)
        if self.spec.parallel:
            pipeline.set_params(model__n_jobs=1)  # for one row, starting threads costs more than the answer
        return pipeline

    def words(self) -> str:
        """The settings for people."""
        return ", ".join(f"{name} {value}" for name, value in self.tuning.items()) or "default settings"


@contextmanager
def libraries_on(threads: int) -> Iterator[None]:
    """Let OpenMP and BLAS use so many threads inside; it takes 0.1 ms."""
    with _controller().limit(limits=max(1, threads)):
        yield


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks for libraries: once, after scikit-learn has loaded its own


@contextmanager
def quiet() -> Iterator[None]:
    """What scikit-learn warns of here is no fault: few iterations, and categories or classes that a fold has not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def answers_of(pipeline: Pipeline, features: pd.DataFrame, *, task: TableTask, classes: int) -> Array:
    """Return probabilities [N, C] in the order of class numbers, or amounts [N]."""
    with quiet(), libraries_on(1):
        if task == "regression":
            amounts: Array = np.asarray(pipeline.predict(features), dtype=np.float64)
            return amounts
        known = pipeline.predict_proba(features)
    spread = np.full((len(features), classes), LEAST)
    spread[:, np.asarray(pipeline.classes_, dtype=np.int64)] = np.maximum(known, LEAST)
    shares: Array = spread / spread.sum(axis=1, keepdims=True)
    return shares
