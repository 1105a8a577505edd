"""What the service says of tables, as Python sees it. Names are the API's."""

from __future__ import annotations

from typing import Any, TypedDict

from frontend.answers import ClassScore, ConfusionMatrix


class ColumnAnswer(TypedDict):
    name: str
    kind: str
    missing: int
    unique: int
    examples: list[str]
    minimum: float | None
    maximum: float | None
    mean: float | None
    note: str


class TableAnswer(TypedDict):
    dataset_id: str
    name: str
    rows: int
    columns: list[ColumnAnswer]
    warnings: list[str]
    created_at: str


class TableView(TableAnswer):
    preview: list[dict[str, str | None]]


class TableKind(TypedDict):
    name: str
    title: str
    description: str
    most_rows: int


class TableRowAnswer(TypedDict):
    rank: int | None
    name: str
    status: str
    reason: str | None
    tried: str | None
    tie: bool
    score: float | None
    score_ci95: tuple[float, float] | None
    train_seconds: float | None


class TableTest(TypedDict):
    rows: int
    score: float
    score_ci95: tuple[float, float]
    accuracy: float | None
    macro_f1: float | None
    r2: float | None
    mae: float | None
    rmse: float | None
    baseline: float


class Importance(TypedDict):
    column: str
    importance: float
    deviation: float


class Dependence(TypedDict):
    column: str
    kind: str
    values: list[Any]
    answers: dict[str, list[float]]


class Residual(TypedDict):
    truth: float
    answer: float


class LeftOut(TypedDict):
    column: str
    reason: str


class TableResultsAnswer(TypedDict):
    job_id: str
    dataset_id: str
    model_id: str
    target: str
    task: str
    metric: str
    class_names: list[str]
    best_model: str
    leaderboard: list[TableRowAnswer]
    test: TableTest
    confusion_matrix: ConfusionMatrix | None
    per_class: list[ClassScore]
    residuals: list[Residual]
    importances: list[Importance]
    partial_dependence: list[Dependence]
    used_columns: list[str]
    left_out: list[LeftOut]
    notes: list[str]
    total_seconds: float


class RowAnswer(TypedDict, total=False):
    prediction: str | float
    confidence: float
    probabilities: dict[str, float]
    low: float
    high: float
    unusual: list[str]


class RowAnswers(TypedDict):
    predictions: list[RowAnswer]


class RegisteredTable(TypedDict):
    """A model of a table with its place in the registry."""

    model_id: str
    dataset_id: str
    job_id: str | None
    name: str
    target: str
    task: str
    metric: str
    score: float
    score_ci95: tuple[float, float]
    size_mb: float
    created_at: str
    state: str
    promoted_at: str | None
    promoted_by: str | None


class TableCard(RegisteredTable):
    rollback_to: str | None
