"""Records of the model registry: what state a model is in, who promoted what, and what it answers in use."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from backend.contracts.base import Id, Record
from backend.contracts.result import ModelInfo
from backend.contracts.table import TableModelInfo

ModelState = Literal["candidate", "promoted", "archived"]
PromotionKind = Literal["promoted", "rolled_back"]

CONFIDENCE_BINS = 10


class Standing(Record):
    """A place in the registry."""

    state: ModelState = "candidate"
    promoted_at: datetime | None = Field(None, description="Since when it has answered for its dataset.")
    promoted_by: str | None = Field(None, description="Who promoted it; empty: before there was a history.")
    archived_at: datetime | None = None


class RegisteredModel(ModelInfo, Standing):
    """A saved model of images with its place in the registry."""


class RegisteredTableModel(TableModelInfo, Standing):
    """A saved model of a table with its place in the registry."""


class Promotion(Record):
    """One change of the model that answers for a dataset."""

    promotion_id: int
    dataset_id: Id
    kind: PromotionKind
    model_id: Id = Field(description="The model that answers since then.")
    replaced_id: Id | None = Field(None, description="The one that answered before; None: nobody was promoted.")
    actor: str
    created_at: datetime
    undone_at: datetime | None = Field(None, description="When a rollback took this promotion back.")


class PredictionCounts(Record):
    """What a model answered: how often each label, how sure it was, how many pictures were unlike its training."""

    predictions: int = 0
    labels: dict[str, int] = Field(default_factory=dict)
    confidence: tuple[int, ...] = Field(
        (0,) * CONFIDENCE_BINS, description="Ten bins of equal width from 0 to 1, by the likeliest label's confidence."
    )
    judged: int = Field(0, description="Predictions that say whether the picture is unfamiliar.")
    unfamiliar: int = 0
