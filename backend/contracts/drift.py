"""Records of drift: what a model answers in use, beside what it answered on its test images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.contracts.base import Id, Record

DriftVerdict = Literal["steady", "shifting", "drifted", "too_few", "no_yardstick"]


class DriftBin(Record):
    """One label, or one range of confidence: its share on the test images and in use."""

    name: str
    expected: float | None = Field(None, description="Share on the test images, 0..1; None: there is no yardstick.")
    seen: float = Field(description="Share in use, 0..1.")
    count: int = Field(description="How often it was seen in use.")


class DriftMeasure(Record):
    """How far one distribution has moved."""

    verdict: DriftVerdict
    words: str
    psi: float | None = Field(None, description="Population stability index; None: it cannot be said.")
    chance: float | None = Field(None, description="What chance alone exceeds once in a hundred times.")
    bins: tuple[DriftBin, ...] = ()


class UnfamiliarShare(Record):
    """How many pictures were unlike all of the training."""

    verdict: DriftVerdict
    words: str
    judged: int
    unfamiliar: int
    share: float | None = None
    normal: float = Field(description="Up to this share is what familiar pictures give.")


class DriftDay(Record):
    """One day, UTC."""

    day: str
    predictions: int
    unfamiliar: int
    judged: int
    mean_confidence: float | None = Field(None, description="By the middles of the ten bins.")


class DriftReport(Record):
    """What a model answers in use against its test images."""

    model_id: Id
    since: str = Field(description="First day that is counted, UTC.")
    predictions: int
    test_images: int | None = Field(None, description="Images behind the yardstick; None: the model has none.")
    verdict: DriftVerdict
    headline: str
    labels: DriftMeasure
    confidence: DriftMeasure
    unfamiliar: UnfamiliarShare
    days: tuple[DriftDay, ...] = ()
