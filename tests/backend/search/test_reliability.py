from __future__ import annotations

from backend.contracts import TestPrediction, TestPredictions
from backend.search.reliability import BOUNDS, reliability


def told(*answers, **fields):
    images = tuple(
        TestPrediction(image_id=f"img-{place}", label="a", predicted="a" if right else "b", confidence=confidence)
        for place, (confidence, right) in enumerate(answers)
    )
    return TestPredictions(class_names=("a", "b"), images=images, **fields)


def counts(bands):
    return [(band.images, band.right) for band in bands]


def test_answers_are_counted_where_their_confidence_lies():
    found = reliability(
        told((0.3, True), (0.5, False), (0.79, True), (0.8, True), (0.949, True), (0.95, False), (1.0, True))
    )
    assert counts(found) == [(1, 1), (2, 1), (2, 2), (2, 1)]
    assert [band.low for band in found] == list(BOUNDS[:-1])
    assert found[-1].high == 1.0


def test_a_band_without_answers_says_so():
    assert counts(reliability(told((0.9, True)))) == [(0, 0), (0, 0), (1, 1), (0, 0)]
    assert sum(band.images for band in reliability(told())) == 0


def test_every_label_of_a_multi_label_image_is_an_answer():
    image = TestPrediction(
        image_id="img-1",
        label="a",
        predicted="a, b",
        confidence=0.6,
        labels=("a",),
        predicted_labels=("a", "b"),
        confidences=(0.97, 0.6),
    )
    found = reliability(TestPredictions(class_names=("a", "b"), images=(image,), task="multilabel"))
    assert counts(found) == [(0, 0), (1, 0), (0, 0), (1, 1)]
