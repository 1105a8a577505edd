"""The catalogue of models for tables: one frozen entry each. To add one, add its entry.

Every model is a scikit-learn pipeline from `features` to an answer, so that what it fits (means, known categories) it
fits on its own rows alone. It knows neither folds nor files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, SVR

from backend.contracts.table import TableTask
from backend.registry import Registry
from backend.tabular.features import FeatureNames

TEXT_WORDS = 200  # the most frequent; a table that is mostly text wants another tool
# A category that is rarer is taken together with other rare ones; more kinds than this are, too.
RARE, MOST_CATEGORIES = 3, 60
BASELINE = "baseline"

Tuning = Mapping[str, Any]


@dataclass(frozen=True)
class TableModelSpec:
    """A model as the catalogue has it. `settings` are tried in order, the first being the default.

    `scaled`: numbers are centred and scaled, categories become columns of 0 and 1; else trees see codes.
    `parallel`: it takes `n_jobs`. `most_rows`: above that its time grows too fast.
    """

    name: str
    title: str
    description: str
    build: Callable[[TableTask, Tuning, int], Any]
    settings: tuple[Tuning, ...] = ({},)
    scaled: bool = False
    parallel: bool = False
    most_rows: int = 10_000_000


def build_pipeline(
    spec: TableModelSpec, task: TableTask, *, features: FeatureNames, tuning: Tuning, seed: int
) -> Pipeline:
    """Return an unfitted pipeline that takes the frame of `features_of`."""
    preparation = _scaled(features) if spec.scaled else _coded(features)
    return Pipeline([("prepare", preparation), ("model", spec.build(task, tuning, seed))])


def _scaled(features: FeatureNames) -> ColumnTransformer:
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    categories = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=RARE,
        max_categories=MOST_CATEGORIES,
        sparse_output=False,
    )
    return ColumnTransformer(
        [
            ("numbers", numbers, list(features.numbers)),
            ("categories", categories, list(features.categories)),
            *_texts(features),
        ],
        sparse_threshold=0.0,  # boosting takes no sparse matrix
    )


def _coded(features: FeatureNames) -> ColumnTransformer:
    numbers = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=RARE, max_categories=MOST_CATEGORIES
    )
    return ColumnTransformer(
        [
            ("numbers", numbers, list(features.numbers)),
            ("categories", codes, list(features.categories)),
            *_texts(features),
        ],
        sparse_threshold=0.0,  # boosting takes no sparse matrix
    )


def _texts(features: FeatureNames) -> list[tuple[str, Any, str]]:
    """The most frequent words of each text, weighted by rarity."""
    words = {"max_features": TEXT_WORDS, "sublinear_tf": True, "token_pattern": r"(?u)\b\w+\b"}
    return [(f"text {place}", TfidfVectorizer(**words), name) for place, name in enumerate(features.texts)]


def _baseline(task: TableTask, tuning: Tuning, seed: int) -> Any:
    del tuning, seed
    return DummyClassifier(strategy="prior") if task == "classification" else DummyRegressor(strategy="mean")


def _linear(task: TableTask, tuning: Tuning, seed: int) -> Any:
    strength = tuning["C"]
    if task == "classification":
        return LogisticRegression(C=strength, max_iter=1_000, random_state=seed)
    return Ridge(alpha=1.0 / strength)


def _vectors(task: TableTask, tuning: Tuning, seed: int) -> Any:
    kernel = {"C": tuning["C"], "gamma": "scale", "cache_size": 200}
    if task == "classification":
        # its own probabilities would be Platt's on its own training rows; these are cross-fitted
        return CalibratedClassifierCV(SVC(random_state=seed, **kernel), ensemble=False, cv=3)
    return StandardisedTarget(SVR(**kernel))


def _forest(task: TableTask, tuning: Tuning, seed: int) -> Any:
    kind = RandomForestClassifier if task == "classification" else RandomForestRegressor
    return _trees(kind, tuning, seed)


def _extra(task: TableTask, tuning: Tuning, seed: int) -> Any:
    kind = ExtraTreesClassifier if task == "classification" else ExtraTreesRegressor
    return _trees(kind, tuning, seed)


def _trees(kind: Any, tuning: Tuning, seed: int) -> Any:
    return kind(n_estimators=200, n_jobs=1, random_state=seed, **{"min_samples_leaf": 1, **tuning})


def _boosting(task: TableTask, tuning: Tuning, seed: int) -> Any:
    kind = HistGradientBoostingClassifier if task == "classification" else HistGradientBoostingRegressor
    return kind(random_state=seed, **{"early_stopping": False, **tuning})


def StandardisedTarget(regressor: Any) -> Any:  # noqa: N802 - stands for a class of scikit-learn's
    """A regressor that sees the target centred and scaled: kernels' settings mean the same for euros and for metres."""
    from sklearn.compose import TransformedTargetRegressor

    return TransformedTargetRegressor(regressor, transformer=StandardScaler())


MODELS: Registry[TableModelSpec] = Registry("model")
for _spec in (
    TableModelSpec(
        BASELINE, "Baseline", "The most frequent class, or the mean: what can be had without looking.", _baseline
    ),
    TableModelSpec(
        "linear",
        "Linear model",
        "Logistic or ridge regression: a weight for every column. Hard to beat on small tables.",
        _linear,
        ({"C": 1.0}, {"C": 0.1}, {"C": 0.01}, {"C": 10.0}, {"C": 0.001}),
        scaled=True,
    ),
    TableModelSpec(
        "support_vectors",
        "Support vectors",
        "Rows near the border between classes decide (RBF kernel). Good on small tables of numbers.",
        _vectors,
        ({"C": 1.0}, {"C": 3.0}, {"C": 0.3}, {"C": 10.0}),
        scaled=True,
        most_rows=5_000,
    ),
    TableModelSpec(
        "boosting",
        "Gradient boosting",
        "Small trees that mend each other's mistakes. The strongest single model on most larger tables.",
        _boosting,
        (
            {},
            {"learning_rate": 0.05, "max_iter": 200, "max_leaf_nodes": 15, "l2_regularization": 1.0},
            {"learning_rate": 0.03, "max_iter": 200, "max_leaf_nodes": 8, "min_samples_leaf": 10},
            {"learning_rate": 0.05, "max_iter": 400, "max_leaf_nodes": 31, "min_samples_leaf": 40},
        ),
    ),
    TableModelSpec(
        "extra_trees",
        "Extremely random trees",
        "Many trees with splits at random places; they vote.",
        _extra,
        ({}, {"min_samples_leaf": 3}, {"max_features": 0.5}),
        parallel=True,
        most_rows=200_000,
    ),
    TableModelSpec(
        "forest",
        "Random forest",
        "Many trees, each on a part of rows and columns; they vote.",
        _forest,
        ({}, {"min_samples_leaf": 3}, {"max_features": 0.5}),
        parallel=True,
        most_rows=200_000,
    ),
):
    MODELS.register(_spec.name, _spec)
