"""Days that count, days that do not, and answers of several labels."""

from datetime import UTC, datetime

import pytest
from service_fakes import model_info, results_record

from backend.contracts import PredictionCounts, TestPrediction, TestPredictions
from backend.storage.answers import write_answers
from backend.storage.catalog import Catalog
from backend.storage.prediction_counts import PredictionLog
from backend.workflows import watch_drift as module
from backend.workflows.watch_drift import NO_LABEL, drift_report, yardstick

CERTAIN = (0,) * 9 + (40,)


@pytest.fixture
def log(database, monkeypatch):
    Catalog(database).publish(results_record(), model_info())
    monkeypatch.setattr(module, "utc_now", lambda: datetime(2026, 3, 31, 12, tzinfo=UTC))
    return PredictionLog(database)


def used(label, number=40):
    return PredictionCounts(predictions=number, labels={label: number}, confidence=(0,) * 9 + (number,))


def answers(*predicted, confidence=0.97):
    images = [
        TestPrediction(image_id=f"img-{place}", label=label, predicted=label, confidence=confidence)
        for place, label in enumerate(predicted)
    ]
    return TestPredictions(class_names=("cat", "dog"), images=tuple(images))


def test_only_the_days_asked_for_count(log, tmp_path):
    write_answers(tmp_path, answers(*["cat"] * 40))
    log.add(
        {("md-1", "2026-03-01"): used("dog"), ("md-1", "2026-03-02"): used("dog"), ("md-1", "2026-03-31"): used("cat")}
    )
    month, day = (drift_report("md-1", tmp_path, log, days=days) for days in (30, 1))
    assert ([one.day for one in month.days], month.since) == (["2026-03-02", "2026-03-31"], "2026-03-02")
    assert (month.predictions, month.labels.verdict, month.verdict) == (80, "drifted", "drifted")
    assert (day.predictions, day.labels.verdict) == (40, "steady")
    assert day.days[0].mean_confidence == pytest.approx(0.95)


def test_the_yardstick_follows_the_file(tmp_path):
    assert yardstick(tmp_path) is None
    write_answers(tmp_path, answers("cat", "dog", "dog", confidence=0.35))
    found = yardstick(tmp_path)
    assert (found.labels, found.confidence[3]) == ({"cat": 1, "dog": 2}, 3)


def test_a_multi_label_yardstick_counts_what_is_present(tmp_path):
    def one(place, *labels, confidences):
        told = ", ".join(labels)
        return TestPrediction(
            image_id=f"img-{place}",
            label=told,
            predicted=told,
            confidence=0.5,
            predicted_labels=labels,
            confidences=confidences,
        )

    images = (
        one(1, "dent", "hole", confidences=(0.91, 0.62)),
        one(2, "dent", confidences=(0.81, 0.1)),
        one(3, confidences=(0.2, 0.05)),
    )
    write_answers(
        tmp_path,
        TestPredictions(class_names=("dent", "hole"), images=images, task="multilabel", thresholds=(0.5, 0.5)),
    )
    found = yardstick(tmp_path)
    assert found.labels == {"dent": 2, "hole": 1, NO_LABEL: 1}
    assert (found.predictions, found.confidence[9], found.confidence[8], found.confidence[2]) == (3, 1, 1, 1)
