from __future__ import annotations

import numpy as np
import pytest

from backend.engine.forward import openvino_library
from backend.inference import serving
from backend.inference.serving import ServedNetwork

needs_openvino = pytest.mark.skipif(openvino_library.openvino_version() is None, reason="OpenVINO is not installed")


@pytest.fixture
def member(predictor):
    return predictor.bundle.voices[0]


@pytest.fixture
def pixels(member):
    fed = member.preprocessing
    return np.random.default_rng(0).integers(0, 256, (6, fed.height, fed.width, 3), dtype=np.uint8)


@needs_openvino
def test_the_faster_way_takes_over_with_the_same_answers(member, pixels):
    served = ServedNetwork(member, convert_after=6)
    before = served.answer(pixels)
    assert served.wait()
    after = served.answer(pixels)
    np.testing.assert_allclose(after.probabilities, before.probabilities, atol=serving.MOST_APART)
    np.testing.assert_allclose(after.features, before.features, atol=1e-4 * np.abs(before.features).max())
    assert after.probabilities.dtype == np.float64
    np.testing.assert_allclose(after.probabilities.sum(axis=1), 1.0)


def test_few_pictures_are_answered_without_a_conversion(member, pixels):
    served = ServedNetwork(member, convert_after=13)
    served.answer(pixels)
    served.answer(pixels)
    assert not served.wait()


@pytest.mark.parametrize("fault", ["cannot", "disagrees", "absent"])
def test_torch_goes_on_where_it_cannot_take_over(member, pixels, monkeypatch, caplog, fault):
    class Wrong(serving.OpenVinoForward):
        def __call__(self, images):
            return super().__call__(images) * 2

    def cannot(*_):
        raise RuntimeError("no such operation")

    if fault == "cannot":
        monkeypatch.setattr(serving, "graph_of", cannot)
    elif fault == "disagrees":
        monkeypatch.setattr(serving, "OpenVinoForward", Wrong)
    else:
        monkeypatch.setattr(openvino_library, "openvino_version", lambda: None)
    served = ServedNetwork(member, convert_after=1)
    before = served.answer(pixels)
    assert not served.wait()
    np.testing.assert_array_equal(served.answer(pixels).probabilities, before.probabilities)
    assert bool(caplog.records) == (fault != "absent")
