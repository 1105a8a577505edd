"""The shapes of the API's answers about versions of a dataset and about two models. Types only, as in `answers`."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class CorrectionsBody(TypedDict):
    """What is sent to change a dataset: images to exclude, to restore, to relabel."""

    exclude: NotRequired[list[str]]
    restore: NotRequired[list[str]]
    relabel: NotRequired[dict[str, str | list[str]]]
    base_version: NotRequired[int]


class VersionAnswer(TypedDict):
    """One entry of a dataset's history."""

    version: int
    base_version: int | None
    kind: str
    author: str
    created_at: str
    total_images: int
    excluded_images: int
    added: int
    excluded: int
    restored: int
    relabelled: int
    new_classes: list[str]
    dropped_classes: list[str]


class ImageAnswer(TypedDict):
    image_id: str
    label: str
    url: str
    file: NotRequired[str]
    labels: NotRequired[list[str]]


class ImagePage(TypedDict):
    """Part of a dataset's images; `total` counts all."""

    total: int
    images: list[ImageAnswer]


class ChangedImage(TypedDict):
    """One image of a difference; `before` only where its labels changed."""

    image_id: str
    file: NotRequired[str]
    labels: list[str]
    before: list[str] | None


class DifferenceAnswer(TypedDict):
    """How two versions differ; lists hold the first thousand images."""

    from_version: int
    to_version: int
    counts: dict[str, int]
    added: list[ChangedImage]
    excluded: list[ChangedImage]
    restored: list[ChangedImage]
    relabelled: list[ChangedImage]
    class_counts: dict[str, list[int]]


class HeadToHead(TypedDict):
    """Two models on the same images."""

    images: int
    champion_right: int
    challenger_right: int
    p_value: float
    verdict: str


class ClassHeadToHead(HeadToHead):
    label: str


class ComparisonAnswer(TypedDict):
    """A challenger against a champion, in words and in numbers."""

    challenger_id: str
    champion_id: str
    challenger_name: str
    champion_name: str
    dataset_version: int
    champion_version: int
    overall: HeadToHead
    classes: list[ClassHeadToHead]
    test_images: int
    left_out: int
    headline: str
    by_class: str
    notes: list[str]
