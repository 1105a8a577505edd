"""Records of the `inference` room: a picture in, an answer out. Field names are the HTTP contract."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.contracts.base import Id, Record


def _is_none(value: object) -> bool:
    return value is None


class LabelConfidence(Record):
    """A label and its probability, 0..1: of all labels they sum to 1 where an image has one, each is its own else.

    `present` is what a multi-label model says of the label, by its threshold; multi-class answers leave it out.
    """

    label: str
    confidence: float
    present: bool | None = Field(None, exclude_if=_is_none)


class ModelRef(Record):
    model_id: Id
    name: str
    accuracy: float


class SimilarImage(Record):
    """A training image near to the question in feature space; similarity is the cosine, -1..1."""

    image_id: Id
    label: str
    similarity: float


class HeatmapEvidence(Record):
    """Whether a heat map marks what the answer rests on: its deletion test against the same map moved elsewhere."""

    label: str = Field(description="The class that the heat map is for.")
    score: float = Field(description="Share of the label's probability that is lost when what is hottest is blurred.")
    random: float = Field(description="The same share when as much is blurred at other places; mean of several.")
    verdict: Literal["evidence", "weak"] = Field(description="weak: the heat map does no better than such places.")


class Explanation(Record):
    """A heat map over a picture, for one class. `heatmap_png` is base64 of a PNG."""

    label: str
    heatmap_png: str
    heatmap: HeatmapEvidence


class Prediction(Record):
    """The answer for one image. `unfamiliarity`: 0 like the training images, 1 like none of them."""

    predictions: tuple[LabelConfidence, ...]
    model: ModelRef
    unfamiliar: bool
    unfamiliarity: float = Field(ge=0.0, le=1.0)
    latency_ms: float
    similar: tuple[SimilarImage, ...] = ()
    heatmap_png: str | None = Field(None, description="Base64 of a PNG: Grad-CAM over the image.")
    heatmap: HeatmapEvidence | None = Field(None, description="Whether that heat map passes its deletion test.")
