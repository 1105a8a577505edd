from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.contracts import RunControl
from backend.engine import features as features_module
from backend.engine.arithmetic import has_fast_bfloat16, set_threads
from backend.engine.environment import environment
from backend.engine.features import extract_features, predict_probabilities
from backend.errors import JobCancelled


def test_batch_size_and_order_do_not_change_features(lite0, pictures, preprocessing):
    images, _ = pictures
    whole = extract_features(lite0, images, preprocessing=preprocessing)
    pieces = extract_features(lite0, images, preprocessing=preprocessing, batch_size=5)
    chosen = extract_features(lite0, images, preprocessing=preprocessing, places=[30, 2, 17])
    assert whole.dtype == np.float32
    assert whole.shape == (36, 1280)
    scale = np.abs(whole).max()
    np.testing.assert_allclose(pieces, whole, atol=0.02 * scale)
    np.testing.assert_allclose(chosen, whole[[30, 2, 17]], atol=0.02 * scale)


def test_exact_probabilities_are_those_of_plain_torch(lite0, pictures, preprocessing):
    images, _ = pictures
    inputs = (torch.from_numpy(images.copy()).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        expected = torch.softmax(lite0.module(inputs.to(lite0.device)), dim=1).cpu().numpy()
    found = predict_probabilities(lite0, images, preprocessing=preprocessing)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


def test_a_memory_mapped_array_is_read_in_batches_and_never_written(lite0, pictures, preprocessing, tmp_path):
    np.save(tmp_path / "images.npy", pictures[0])
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    expected = extract_features(lite0, pictures[0], preprocessing=preprocessing, batch_size=8)
    found = extract_features(lite0, mapped, preprocessing=preprocessing, batch_size=8)
    np.testing.assert_array_equal(found, expected)


class Counting(np.ndarray):
    """An image array that notes how many images are read at once."""

    largest = 0

    def __getitem__(self, key):
        result = super().__getitem__(key)
        Counting.largest = max(Counting.largest, len(result))
        return np.asarray(result)


@pytest.mark.parametrize("places", [None, list(range(36))])
def test_no_more_than_one_batch_is_read_at_once(lite0, pictures, preprocessing, places):
    Counting.largest = 0
    extract_features(lite0, pictures[0].view(Counting), preprocessing=preprocessing, places=places, batch_size=7)
    assert Counting.largest == 7


def test_no_images_give_no_rows(lite0, pictures, preprocessing):
    assert extract_features(lite0, pictures[0][:0], preprocessing=preprocessing).shape == (0, 1280)
    assert predict_probabilities(lite0, pictures[0], preprocessing=preprocessing, places=[]).shape == (0, 3)


def test_cancelling_stops_between_batches(lite0, pictures, preprocessing):
    calls = iter([False, False, True])
    control = RunControl(cancelled=lambda: next(calls))
    with pytest.raises(JobCancelled):
        extract_features(lite0, pictures[0], preprocessing=preprocessing, batch_size=4, control=control)
    assert next(calls, "all asked") == "all asked"


def test_a_long_pass_says_how_far_it_is(lite0, pictures, preprocessing, monkeypatch):
    monkeypatch.setattr(features_module, "REPORT_EVERY_S", 0.0)
    messages = []
    control = RunControl(report=lambda progress: messages.append(progress.message))
    extract_features(lite0, pictures[0], preprocessing=preprocessing, batch_size=18, control=control)
    assert messages == ["efficientnet_lite0: 18 of 36 images", "efficientnet_lite0: 36 of 36 images"]


def test_bfloat16_is_used_only_where_the_processor_has_it():
    flags = torch.cpu.get_capabilities()
    assert has_fast_bfloat16("cpu") == bool(flags.get("avx512_bf16") or flags.get("amx_bf16"))


def test_the_environment_is_plain_and_names_the_libraries(settings):
    found = environment(settings)
    assert (
        found["versions"]["torch"] == torch.__version__.split("+")[0] or found["versions"]["torch"] == torch.__version__
    )
    assert found["torch_threads"] == torch.get_num_threads()
    assert found["device_name"]


def test_threads_are_set_as_told():
    before = torch.get_num_threads()
    set_threads(1)
    assert torch.get_num_threads() == 1
    set_threads(before)
    assert torch.get_num_threads() == before
