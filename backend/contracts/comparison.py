"""Records of champion and challenger: two models on the same images that neither saw in training."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from backend.contracts.base import Id, Record, utc_now

Verdict = Literal["better", "worse", "same", "unsure"]


class HeadToHead(Record):
    """How often each of two models was right on the same images."""

    images: int
    champion_right: int
    challenger_right: int
    only_champion: int = Field(description="Images that the champion alone got right.")
    only_challenger: int = Field(description="Images that the challenger alone got right.")
    p_value: float = Field(
        description="Exact McNemar test, two-sided: how likely such a difference is between equally good models. "
        "Those of classes are corrected for their number (Holm 1979)."
    )
    verdict: Verdict = Field(description="Of the challenger, at 95%; unsure: a difference that may be chance.")

    @property
    def gain(self) -> int:
        """Images that the challenger has more right."""
        return self.challenger_right - self.champion_right


class ClassHeadToHead(HeadToHead):
    """The same for the images of one class."""

    label: str
    known_to_champion: bool = True
    known_to_challenger: bool = True


class ModelComparison(Record):
    """A challenger against a champion. `images` of `overall` were in neither training, `left_out` in the champion's."""

    challenger_id: Id
    champion_id: Id
    challenger_name: str
    champion_name: str
    dataset_id: Id
    dataset_version: int = Field(description="The challenger's; its test images are what both are judged by.")
    champion_dataset_id: Id
    champion_version: int
    overall: HeadToHead
    classes: tuple[ClassHeadToHead, ...]
    test_images: int = Field(description="Test images of the challenger.")
    left_out: int = Field(description="Of these, images that the champion learned from.")
    answered_anew: int = Field(0, description="Images that the champion saw for the first time in this comparison.")
    headline: str = Field(description="The answer in one sentence.")
    by_class: str = Field(description="The classes in one sentence.")
    notes: tuple[str, ...] = ()
    created_at: datetime = Field(default_factory=utc_now)
