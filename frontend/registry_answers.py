"""The shapes of the API's answers about the registry of models. Types only, as in `answers`."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from frontend.answers import EnsembleMember


class Interval(TypedDict):
    """The test scores, as far as the registry shows them."""

    accuracy: float
    accuracy_ci95: list[float]


class StoredMetrics(TypedDict):
    test: NotRequired[Interval]


class SplitAnswer(TypedDict):
    train: int
    val: int
    test: int


class RegisteredAnswer(TypedDict):
    """A model with its place in the registry."""

    model_id: str
    dataset_id: str
    dataset_version: int
    job_id: str | None
    name: str
    accuracy: float
    macro_f1: float
    metrics: StoredMetrics
    class_names: list[str]
    size_mb: float
    created_at: str
    state: str
    promoted_at: str | None
    promoted_by: str | None
    archived_at: str | None
    members: NotRequired[list[EnsembleMember]]


class CardAnswer(RegisteredAnswer):
    """One model with what its training found out."""

    dataset_name: str | None
    test: Interval | None
    split: SplitAnswer | None
    trained_by: NotRequired[str | None]
    rollback_to: str | None
    downloads: NotRequired[dict[str, str]]


class PromotionAnswer(TypedDict):
    kind: str
    model_id: str
    replaced_id: str | None
    actor: str
    created_at: str
    undone_at: str | None


class AuditEntryAnswer(TypedDict):
    entry_id: int
    created_at: str
    actor: str
    action: str
    subject: str
    dataset_id: str | None
    detail: str
    address: str
    request_id: str


class AuditAnswer(TypedDict):
    entries: list[AuditEntryAnswer]
    next_before: int | None


class DriftBin(TypedDict):
    name: str
    expected: float | None
    seen: float
    count: int


class DriftMeasure(TypedDict):
    verdict: str
    words: str
    bins: list[DriftBin]


class UnfamiliarAnswer(TypedDict):
    verdict: str
    words: str
    normal: float


class DriftDay(TypedDict):
    day: str
    predictions: int
    unfamiliar: int
    judged: int


class DriftAnswer(TypedDict):
    """What a model answers in use against its test images."""

    since: str
    predictions: int
    test_images: int | None
    verdict: str
    headline: str
    labels: DriftMeasure
    confidence: DriftMeasure
    unfamiliar: UnfamiliarAnswer
    days: list[DriftDay]
