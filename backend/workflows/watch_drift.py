"""What a model answers in use beside what it answered on its test images: counts and its folder in, a report out.

It loads no network: the answers to the test images lie in the model's folder since its training.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

from backend.contracts import (
    CONFIDENCE_BINS,
    DriftDay,
    DriftReport,
    PredictionCounts,
    TestPrediction,
    TestPredictions,
    utc_now,
)
from backend.errors import InputError, NotFoundError
from backend.inference.drift import confidence_drift, label_drift, unfamiliar_share, worst
from backend.storage.answers import ANSWERS_FILE, read_answers
from backend.storage.prediction_counts import PredictionLog, sum_of

DAYS = 30
NO_LABEL = "(none)"  # what a multi-label model answers where no label is present

HEADLINES = {
    "steady": "What comes in looks as it did when this model was tested.",
    "shifting": "What comes in is moving away from what this model was tested on; keep an eye on it.",
    "drifted": "What comes in is no longer what this model was tested on; its accuracy may not hold. Look at new "
    "pictures, label some of them, and train again.",
    "too_few": "Too few predictions to say whether anything has changed.",
    "no_yardstick": "This model was saved before test answers were kept; there is nothing to compare with.",
}


def drift_report(model_id: str, folder: Path, log: PredictionLog, *, days: int = DAYS) -> DriftReport:
    """Compare a model's answers of the last `days` days (UTC) with those to its test images.

    Raises:
        UnavailableError: the database does not answer.
    """
    since = (utc_now().date() - timedelta(days=days - 1)).isoformat()
    by_day = log.days(model_id, since=since)
    seen, expected = sum_of(*by_day.values()), yardstick(folder)
    labels, confidence = label_drift(expected, seen), confidence_drift(expected, seen)
    unfamiliar = unfamiliar_share(seen)
    verdict = worst([labels.verdict, confidence.verdict, unfamiliar.verdict])
    return DriftReport(
        model_id=model_id,
        since=since,
        predictions=seen.predictions,
        test_images=None if expected is None else expected.predictions,
        verdict=verdict,
        headline=HEADLINES[verdict],
        labels=labels,
        confidence=confidence,
        unfamiliar=unfamiliar,
        days=_days(by_day),
    )


def yardstick(folder: Path) -> PredictionCounts | None:
    """What a model answered on its test images, counted as in use; None: it keeps no answers, or they are damaged."""
    try:
        written = (folder / ANSWERS_FILE).stat().st_mtime_ns
        return _counted(folder, written)
    except (OSError, NotFoundError, InputError):
        return None


@lru_cache(maxsize=32)
def _counted(folder: Path, _written: int) -> PredictionCounts:
    """50,000 test images take half a second to read, and never change: once for each model."""
    answers = read_answers(folder)
    labels: dict[str, int] = {}
    bins = [0] * CONFIDENCE_BINS
    for one in answers.images:
        named, confidence = _answer(one, answers)
        bins[min(CONFIDENCE_BINS - 1, max(0, int(confidence * CONFIDENCE_BINS)))] += 1
        for name in named or (NO_LABEL,):
            labels[name] = labels.get(name, 0) + 1
    return PredictionCounts(predictions=len(answers.images), labels=labels, confidence=tuple(bins))


def _answer(one: TestPrediction, answers: TestPredictions) -> tuple[tuple[str, ...], float]:
    """The labels of an answer and the likeliest one's probability, as predictions in use are counted."""
    if answers.task == "multilabel":
        return one.predicted_labels or (), max(one.confidences or (one.confidence,))
    return (one.predicted,), one.confidence


def _days(by_day: Mapping[str, PredictionCounts]) -> tuple[DriftDay, ...]:
    return tuple(
        DriftDay(
            day=day,
            predictions=counts.predictions,
            unfamiliar=counts.unfamiliar,
            judged=counts.judged,
            mean_confidence=_mean(counts.confidence),
        )
        for day, counts in by_day.items()
    )


def _mean(bins: tuple[int, ...]) -> float | None:
    total = sum(bins)
    if not total:
        return None
    return sum(count * (place + 0.5) / CONFIDENCE_BINS for place, count in enumerate(bins)) / total
