"""The shapes of the API's answers about what a dataset holds. Types only, as in `answers`."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class HistogramAnswer(TypedDict):
    edges: list[float]
    counts: list[int]


class SpreadAnswer(TypedDict):
    """One measure over all images."""

    min: float
    max: float
    mean: float
    median: float
    histogram: HistogramAnswer


class SizeCount(TypedDict):
    width: int
    height: int
    images: int


class IssueNote(TypedDict):
    """One kind of issue in words."""

    kind: str
    images: int
    groups: int
    advice: str
    listed: int


class CorruptFile(TypedDict):
    file: str
    reason: str


class LabelPair(TypedDict):
    """Two labels on the same images; `by_chance` is how many that would be if neither knew of the other."""

    labels: list[str]
    images: int
    by_chance: float


class ConflictAnswer(TypedDict):
    """One picture that stands under several labels."""

    image_ids: list[str]
    labels: list[str]


class InsightsAnswer(TypedDict):
    """What a version of a dataset looks like. `issues` holds image ids by kind, in groups for copies."""

    dataset_id: str
    version: int
    total_images: int
    num_classes: int
    class_counts: dict[str, int]
    label_pairs: NotRequired[list[LabelPair]]
    labels_per_image: NotRequired[dict[str, int]]
    unlabelled: NotRequired[int]
    imbalance_ratio: float
    dimensions: dict[str, SpreadAnswer]
    sizes: list[SizeCount]
    light: dict[str, SpreadAnswer]
    formats: dict[str, int]
    modes: dict[str, int]
    quality: str
    issues: dict[str, list[Any]]
    notes: list[IssueNote]
    conflicts: NotRequired[list[ConflictAnswer]]
