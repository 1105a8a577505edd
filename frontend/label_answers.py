"""The shapes of answers about models of several labels an image. Types only, as in `frontend.answers`."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class ThresholdQuery(TypedDict):
    """Other thresholds than the model's own, for one question: by what mistakes cost, or `label=0.3` for each."""

    miss_cost: NotRequired[float]
    false_alarm_cost: NotRequired[float]
    threshold: NotRequired[list[str]]


class LabelAtThreshold(TypedDict):
    """One label on the test images; a point of `curve` is threshold, precision, recall."""

    label: str
    threshold: float
    precision: float
    recall: float
    f1: float
    support: int
    found: int
    missed: int
    false_alarms: int
    average_precision: float | None
    curve: list[list[float]]


class ThresholdAnswer(TypedDict):
    """What a model finds, misses and says wrongly at some thresholds."""

    model_id: str
    chosen_by: str
    cost: float | None
    cost_of_model: float | None
    test_images: int
    accuracy: float
    macro_f1: float
    labels: list[LabelAtThreshold]


class LabelConfusion(TypedDict):
    """[[absent and said so, false alarms], [misses, finds]] on the test images."""

    label: str
    matrix: list[list[int]]
