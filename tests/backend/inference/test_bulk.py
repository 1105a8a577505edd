from __future__ import annotations

import numpy as np
import pytest

from backend.inference import bulk
from backend.inference.bulk import BulkPredictor


@pytest.fixture
def pictures(picture, predictor):
    return [picture(predictor.class_names[seed % 3], seed=900 + seed, size=(90 + 5 * seed, 120)) for seed in range(9)]


@pytest.mark.parametrize("count", [1, 10**6], ids=["by torch", "by the faster graph"])
def test_batches_are_answered_as_single_pictures_are(predictor, pictures, count) -> None:
    many = BulkPredictor(predictor.bundle, count=count)
    prepared = [many.prepare(one) for one in pictures]
    first, second = many.answer(prepared[:5]), many.answer(prepared[5:])
    found = np.concatenate([first.probabilities, second.probabilities])
    single = predictor.predict(pictures, top_k=3)
    np.testing.assert_allclose(found, predictor.probabilities(pictures), atol=1e-4)
    unfamiliar = [*first.unfamiliar, *second.unfamiliar]
    assert unfamiliar == [one.unfamiliar for one in single]


def test_a_graph_that_disagrees_does_not_take_over(predictor, pictures, monkeypatch) -> None:
    class Wrong:
        def __init__(self, graph, *, arithmetic) -> None:
            pass

        def __call__(self, pixels):
            return np.ones((len(pixels), predictor.bundle.network.head.in_features), np.float32)

    monkeypatch.setattr(bulk, "OpenVinoForward", Wrong)
    monkeypatch.setattr(bulk, "graph_of", lambda *_: None)
    many = BulkPredictor(predictor.bundle, count=10**6)
    prepared = [many.prepare(one) for one in pictures]
    for _ in range(2):
        np.testing.assert_allclose(many.answer(prepared).probabilities, predictor.probabilities(pictures), atol=1e-4)


def test_a_network_that_cannot_be_converted_answers_by_torch(predictor, pictures, monkeypatch) -> None:
    def refuse(*_) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(bulk, "graph_of", refuse)
    many = BulkPredictor(predictor.bundle, count=10**6)
    answer = many.answer([many.prepare(one) for one in pictures])
    assert answer.probabilities.sum(axis=1) == pytest.approx(1.0)
