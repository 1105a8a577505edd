"""Records of thresholds: what a multi-label model finds, and what its mistakes cost, from which probability on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.contracts.base import Id, Record


class LabelAtThreshold(Record):
    """One label on the test images, at one threshold."""

    label: str
    threshold: float
    precision: float
    recall: float
    f1: float
    support: int = Field(description="Test images that carry the label.")
    found: int
    missed: int
    false_alarms: int
    average_precision: float | None = None
    curve: tuple[tuple[float, float, float], ...] = Field(
        (), description="Threshold, precision and recall, the threshold rising; at most 100 points."
    )


class ThresholdReport(Record):
    """What a model's answers to its test images come to at some thresholds. The model itself is not changed."""

    model_id: Id
    chosen_by: Literal["model", "costs", "request"]
    miss_cost: float | None = None
    false_alarm_cost: float | None = None
    cost: float | None = Field(None, description="Of all mistakes on the test images, where costs were given.")
    cost_of_model: float | None = Field(None, description="The same at the model's own thresholds.")
    test_images: int
    accuracy: float = Field(description="Share of test images of which every label is right.")
    macro_f1: float
    labels: tuple[LabelAtThreshold, ...]
