"""A computed picture as the JSON that is sent, and what is counted of it. Made where the numbers are, packed once.

It knows no sockets and no HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from backend.contracts import ModelInfo, Prediction
from backend.contracts.serving import Answer
from backend.inference.predictor import Predictor
from backend.inference.serving import Answer as Computed


def finished(
    predictor: Predictor, computed: Computed, *, top_k: Sequence[int | None], latency_ms: Sequence[float]
) -> list[Answer]:
    """The answers to a batch; where `top_k` is None, as `POST /predict` gives it."""
    found = predictor.predictions(computed, top_k=[count or 1 for count in top_k], latency_ms=latency_ms)
    answers = []
    for prediction, row, count in zip(found, computed.probabilities.tolist(), top_k, strict=True):
        body = _plain(predictor.info, row) if count is None else prediction.model_dump_json(exclude_none=True)
        labels = _labels(predictor.info, row, prediction)
        answers.append(Answer(body.encode(), labels, prediction.predictions[0].confidence, prediction.unfamiliar))
    return answers


def _plain(info: ModelInfo, row: Sequence[float]) -> str:
    """The likeliest class, and the probability of each; of a multi-label model also what is present."""
    probs = dict(zip(info.class_names, row, strict=True))
    content: dict[str, Any] = {"pred_class": max(probs, key=lambda name: probs[name]), "probs": probs}
    if info.thresholds is not None:
        named = zip(info.class_names, row, info.thresholds, strict=True)
        content["present"] = [name for name, share, threshold in named if share >= threshold]
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def _labels(info: ModelInfo, row: Sequence[float], prediction: Prediction) -> tuple[str, ...]:
    """The likeliest label; of a multi-label model all that are present, however many were asked for."""
    if info.thresholds is None:
        return (prediction.predictions[0].label,)
    named = zip(info.class_names, row, info.thresholds, strict=True)
    return tuple(name for name, share, threshold in named if share >= threshold)
