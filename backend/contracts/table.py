"""Records of the `tabular` room: a table in, compared models and answers out. Field names are the HTTP contract."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from backend.contracts.base import Id, Record, utc_now
from backend.contracts.result import ClassScore, ConfusionMatrix

ColumnKind = Literal["number", "boolean", "category", "date", "text", "id", "constant", "empty"]
TableTask = Literal["classification", "regression"]
TableMetric = Literal["accuracy", "macro_f1", "r2"]
FileFormat = Literal["csv", "parquet"]
Decimal = Literal[".", ","]

# Kinds of jobs whose results are a table's.
TABLE_KINDS: frozenset[str] = frozenset({"train_table"})
# What a model can learn from; the others are listed and left out, with the reason.
LEARNED_KINDS: frozenset[str] = frozenset({"number", "boolean", "category", "date", "text"})


class TableColumn(Record):
    """One column as it was found. `missing` and `unique` count cells; `note` says what a person should know."""

    name: str
    kind: ColumnKind
    missing: int = 0
    unique: int = 0
    examples: tuple[str, ...] = ()
    minimum: float | None = Field(None, description="Of a number; of a date in seconds since 1970.")
    maximum: float | None = None
    mean: float | None = None
    day_first: bool = Field(False, description="A date such as 3.4.2026 means the third of April.")
    note: str = ""


class TableInfo(Record):
    """A table as the API lists it."""

    dataset_id: Id
    name: str
    version: int = 1
    rows: int
    columns: tuple[TableColumn, ...]
    format: FileFormat = "csv"
    separator: str = Field("", description="Between the cells of a CSV.")
    encoding: str = ""
    decimal: Decimal = "."
    skipped_rows: int = Field(0, description="Lines of a CSV with too many or too few cells.")
    warnings: tuple[str, ...] = ()
    digest: str = Field(description="SHA-256 of the file.")
    created_at: datetime = Field(default_factory=utc_now)

    def column(self, name: str) -> TableColumn | None:
        return next((column for column in self.columns if column.name == name), None)


class TableRecipe(Record):
    """What to learn from a table, and how long to try."""

    dataset_id: Id
    target: str = Field(description="The column to predict.")
    task: TableTask | None = Field(None, description="Unset: told from the column.")
    time_budget_s: float = Field(60.0, gt=0, le=86_400, description="Seconds for the comparison.")
    test_size: float = Field(0.2, gt=0, lt=1, description="Share of the rows that no model learns from.")
    seed: int = Field(42, ge=0, le=2**32 - 1)
    models: tuple[str, ...] | None = Field(None, description="Names from the list of models; unset: all of them.")
    exclude: tuple[str, ...] = Field((), description="Columns that are not to be learned from.")
    ensemble: bool = Field(True, description="Whether several models may answer together where that is better.")


class TableRow(Record):
    """One model of a leaderboard. `score` is the cross-validated metric, of all folds' answers together."""

    rank: int | None = None
    name: str
    status: Literal["ok", "skipped", "failed"]
    reason: str | None = None
    tried: str | None = Field(None, description="Settings in words.")
    tie: bool = Field(False, description="Its interval holds the best row's score.")
    score: float | None = None
    score_ci95: tuple[float, float] | None = None
    log_loss: float | None = None
    mae: float | None = None
    rmse: float | None = None
    train_seconds: float | None = None
    predict_ms_per_row: float | None = None


class TableTestScores(Record):
    """Scores on the held-out rows, read once. Which are there depends on the task."""

    rows: int
    score: float
    score_ci95: tuple[float, float]
    accuracy: float | None = None
    macro_f1: float | None = None
    log_loss: float | None = None
    roc_auc: float | None = Field(None, description="Of two classes; one against the rest, averaged, of more.")
    r2: float | None = None
    mae: float | None = None
    rmse: float | None = None
    baseline: float = Field(description="The metric of an answer that looks at no column.")


class ColumnImportance(Record):
    """How much the metric falls on held-out rows when a column is shuffled (Breiman 2001): mean and deviation."""

    column: str
    importance: float
    deviation: float


class PartialDependence(Record):
    """The model's mean answer when a column takes each value (Friedman 2001). One series a class, or one alone."""

    column: str
    kind: ColumnKind
    values: tuple[str | float, ...]
    answers: dict[str, tuple[float, ...]]


class LeftOutColumn(Record):
    column: str
    reason: str


class TargetLeak(Record):
    """A column that alone predicts the target nearly perfectly: known only afterwards, as often as not."""

    column: str
    score: float = Field(description="The metric from this column alone, cross-validated.")
    score_without: float | None = Field(None, description="The best that was reached without such columns.")


class Residual(Record):
    truth: float
    answer: float


class TableResults(Record):
    """All that a finished training on a table has to say."""

    job_id: Id
    dataset_id: Id
    dataset_version: int = 1
    model_id: Id
    target: str
    task: TableTask
    metric: TableMetric
    class_names: tuple[str, ...] = ()
    best_model: str
    leaderboard: tuple[TableRow, ...]
    test: TableTestScores
    confusion_matrix: ConfusionMatrix | None = None
    per_class: tuple[ClassScore, ...] = ()
    residuals: tuple[Residual, ...] = Field((), description="At most 1,000 held-out rows of a regression.")
    importances: tuple[ColumnImportance, ...] = ()
    partial_dependence: tuple[PartialDependence, ...] = ()
    used_columns: tuple[str, ...]
    left_out: tuple[LeftOutColumn, ...] = ()
    leaks: tuple[TargetLeak, ...] = ()
    split: dict[str, Any]
    recipe: dict[str, Any]
    environment: dict[str, Any] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    total_seconds: float
    tracking: dict[str, Any] = Field(default_factory=dict, description="Whether MLflow has a record of this run.")


class TableMember(Record):
    """One fitted pipeline and its weight among those that answer together."""

    name: str
    title: str
    tried: str
    file: str
    weight: float


class TableModelInfo(Record):
    """A saved model of a table: all that is needed to answer, beside the fitted pipelines."""

    model_id: Id
    dataset_id: Id
    dataset_version: int = 1
    job_id: Id | None = None
    name: str
    target: str
    task: TableTask
    metric: TableMetric
    score: float = Field(description="Of the metric, on the held-out rows.")
    score_ci95: tuple[float, float]
    class_names: tuple[str, ...] = ()
    columns: tuple[TableColumn, ...]
    decimal: Decimal = "."
    members: tuple[TableMember, ...]
    error_90: float | None = Field(None, description="Half the width of an interval that holds nine of ten amounts.")
    size_mb: float = 0.0
    versions: dict[str, str] = Field(default_factory=dict)
    created_at: datetime = Field(default_factory=utc_now)
    promoted: bool = False


class RowAnswer(Record):
    """The answer for one row: a class with every class's probability, or a number with an interval that holds 90%."""

    prediction: str | float
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
    low: float | None = None
    high: float | None = None
    unusual: tuple[str, ...] = Field((), description="Columns whose value lies outside of all that was learned from.")
