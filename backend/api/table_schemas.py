"""What HTTP adds to tables, their models and their answers. Field names are the contract."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from backend.contracts import RegisteredTableModel
from backend.contracts.table import RowAnswer, TableInfo, TableMetric, TableTask


class TableView(TableInfo):
    """A table with its first rows as text, for people to look at."""

    preview: list[dict[str, str | None]] = Field(default_factory=list)


class TableModelKind(BaseModel):
    """A model that can be compared."""

    name: str
    title: str
    description: str
    most_rows: int


class RowsBody(BaseModel):
    """Rows to answer for; each holds a value for every column that was learned from, or null."""

    rows: list[dict[str, Any]] = Field(min_length=1)


class TableModelRef(BaseModel):
    model_id: str
    name: str
    target: str
    task: TableTask
    metric: TableMetric
    score: float


class RowAnswers(BaseModel):
    """The answers, in the order of the rows."""

    predictions: list[RowAnswer]
    model: TableModelRef


class TableModelCard(RegisteredTableModel):
    """One model with where a rollback leads."""

    rollback_to: str | None = Field(None, description="The model that a rollback of this one would bring back.")
