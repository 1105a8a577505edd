from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from backend.engine.features import predict_probabilities
from backend.engine.temperature import scale_head
from backend.search.calibrate import apply_temperature


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_a_scaled_network_answers_as_its_answers_scaled(tiny, pictures, preprocessing, temperature):
    before = predict_probabilities(tiny, pictures[0], preprocessing=preprocessing)
    scale_head(tiny, temperature)
    after = predict_probabilities(tiny, pictures[0], preprocessing=preprocessing)
    np.testing.assert_allclose(after, apply_temperature(before, temperature), atol=1e-5)
    assert np.abs(after - before).max() > 1e-3


def test_timm_alone_rebuilds_the_calibrated_network(tiny, pictures, preprocessing):
    scale_head(tiny, 4.0)
    ours = predict_probabilities(tiny, pictures[0][:4], preprocessing=preprocessing)
    theirs = timm.create_model(tiny.spec.timm_name, num_classes=3)
    theirs.load_state_dict(tiny.module.state_dict())
    batch = (torch.from_numpy(pictures[0][:4]).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.inference_mode():
        answers = theirs.eval()(batch).softmax(1).numpy()
    np.testing.assert_allclose(answers, ours, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_temperature_is_refused(tiny, temperature):
    before = tiny.head.weight.clone()
    with pytest.raises(ValueError, match="temperature"):
        scale_head(tiny, temperature)
    assert torch.equal(tiny.head.weight, before)


def test_labels_also_get_their_offsets(tiny, pictures, preprocessing):
    tiny.task = "multilabel"
    before = predict_probabilities(tiny, pictures[0], preprocessing=preprocessing)
    offsets = (0.5, -1.0, 0.0)
    scale_head(tiny, 2.0, offsets)
    after = predict_probabilities(tiny, pictures[0], preprocessing=preprocessing)
    expected = 1 / (1 + np.exp(-(np.log(before / (1 - before)) / 2.0 + np.array(offsets))))
    np.testing.assert_allclose(after, expected, atol=1e-5)


def test_offsets_of_another_number_of_labels_are_refused(tiny):
    before = tiny.head.weight.clone()
    with pytest.raises(ValueError, match="2 offsets"):
        scale_head(tiny, 2.0, (0.1, 0.2))
    assert torch.equal(tiny.head.weight, before)
