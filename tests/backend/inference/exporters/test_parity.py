from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper

from backend.config import Settings
from backend.engine.bundle import load_bundle
from backend.errors import ConflictError
from backend.inference.exporters import parity
from backend.inference.exporters.onnx_graph import build_graph
from backend.inference.exporters.parity import run_parity
from backend.inference.exporters.request import Surroundings


@pytest.fixture(scope="module")
def bundle(saved):
    return load_bundle(saved, settings=Settings())


@pytest.fixture(scope="module")
def graph(bundle):
    return build_graph(bundle)


@pytest.fixture(autouse=True)
def _few_pictures(monkeypatch) -> None:
    """64 pictures take seconds; `test_onnx_file` has them all."""
    monkeypatch.setattr(parity, "PICTURES", 8)
    monkeypatch.setattr(parity, "MOST_PICTURES", 12)


@pytest.fixture
def around(picture) -> Surroundings:
    """As many small pictures as anybody asks for."""
    labels = ("disc", "square", "stripes")
    return Surroundings(pictures=lambda: (picture(labels[n % 3], seed=n) for n in range(400)))


def broken(graph, *, by: float) -> bytes:
    """The same graph whose last bias speaks for the first class."""
    copy = type(graph)()
    copy.CopyFrom(graph)
    bias = next(one for one in copy.graph.initializer if one.name.endswith("classifier.bias"))
    values = numpy_helper.to_array(bias) + np.array([by, 0, 0], dtype=np.float32)
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    return copy.SerializeToString()


def test_the_same_model_agrees_with_itself(graph, bundle, around) -> None:
    report = run_parity(graph.SerializeToString(), bundle, around)
    assert report.images == report.from_dataset == 8
    assert report.agreement == 1.0
    assert report.max_difference < 0.01


def test_a_graph_that_answers_otherwise_is_refused_with_both_numbers(graph, bundle, around) -> None:
    with pytest.raises(ConflictError, match=r"99\.5%.*On 12 pictures") as refused:
        run_parity(broken(graph, by=50.0), bundle, around)
    assert refused.value.status == 409


def test_a_graph_that_answers_nothing_sound_is_refused(graph, bundle, around) -> None:
    with pytest.raises(ConflictError):
        run_parity(broken(graph, by=float("nan")), bundle, around)


def test_confidence_that_moves_shows_in_the_report(graph, bundle, around) -> None:
    report = run_parity(broken(graph, by=0.02), bundle, around)
    assert report.max_difference > run_parity(graph.SerializeToString(), bundle, around).max_difference


def test_without_pictures_of_the_dataset_others_are_drawn(graph, bundle) -> None:
    report = run_parity(graph.SerializeToString(), bundle, Surroundings())
    assert (report.images, report.generated) == (8, 8)
    assert "drawn by chance" in report.in_words()
