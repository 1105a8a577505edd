from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from backend.config import Settings
from backend.contracts import Dataset, DatasetInfo, ImageItem, RunControl
from backend.engine import feature_store
from backend.engine.feature_store import FeatureRequest, FeatureSource
from backend.engine.features import extract_features
from backend.engine.forward import torch_forward
from backend.engine.forward.choice import COMPARED
from backend.engine.models import find_spec
from backend.engine.network import count_parameters, create_network
from backend.errors import JobCancelled, OutOfMemory

TINY = "timm:test_efficientnet"


@pytest.fixture
def settings(tmp_path):
    return Settings(offline=True, data_dir=tmp_path / "data")


def dataset_of(images):
    items = tuple(
        ImageItem(
            image_id=f"img-{place:010x}",
            path=f"{place}.png",
            label="ab"[place % 2],
            digest=hashlib.sha256(image.tobytes()).hexdigest(),
            width=64,
            height=64,
        )
        for place, image in enumerate(images)
    )
    info = DatasetInfo(
        dataset_id="ds-0123456789",
        name="drawn",
        total_images=len(items),
        num_classes=2,
        class_counts={"a": 1, "b": 1},
        digest="0" * 64,
    )
    return Dataset(info=info, root=Path(), items=items)


@pytest.fixture
def open_source(settings, pictures, preprocessing):
    def build(images=None, *, name=TINY, seed=42, num_classes=3, fed=preprocessing, control=None):
        images = pictures[0] if images is None else images
        request = FeatureRequest(
            spec=find_spec(name), dataset=dataset_of(images), preprocessing=fed, seed=seed, settings=settings
        )
        return FeatureSource(request, images=lambda: images, num_classes=num_classes, control=control or RunControl())

    return build


@pytest.fixture
def no_networks(monkeypatch):
    """From the call on, building a network fails."""

    def forbid():
        def refuse(*_, **__):
            raise AssertionError("a network was built")

        monkeypatch.setattr(feature_store, "create_network", refuse)

    return forbid


@pytest.fixture
def computed(monkeypatch):
    """How many pictures each forward pass had."""
    counts = []
    plain = feature_store._Pace.timed

    def count(self, forward, images):
        counts.append(len(images))
        return plain(self, forward, images)

    monkeypatch.setattr(feature_store._Pace, "timed", count)
    return counts


EVERY = np.arange(36)


def test_they_are_the_network_s_features(open_source, pictures, preprocessing, settings):
    source = open_source()
    found = source.features(np.array([5, 3, 30]))
    network = create_network(find_spec(TINY), num_classes=3, settings=settings, seed=42, input_size=64)
    expected = extract_features(network, pictures[0], preprocessing=preprocessing, places=[5, 3, 30])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_a_second_run_builds_no_network(open_source, no_networks):
    first = open_source()
    rows, facts = first.features(EVERY), first.facts
    no_networks()
    second = open_source()
    assert second.cached(EVERY)
    np.testing.assert_array_equal(second.features(EVERY), rows)
    assert second.facts == facts
    assert second.estimate_seconds(36) == 0.0


def test_facts_are_those_of_the_network(open_source):
    source = open_source()
    facts = source.facts
    tensors = source.network.module.state_dict().values()
    assert facts.parameters == count_parameters(source.network)
    assert facts.size_mb == round(sum(t.numel() * t.element_size() for t in tensors) / 1e6, 2)
    assert (facts.weights, facts.weights_source) == ("scratch", None)
    assert facts.predict_ms_per_image is None
    measured = source.measure_prediction()
    assert measured > 0
    assert open_source().facts.predict_ms_per_image == measured == open_source().measure_prediction()


def test_a_growing_subset_costs_only_what_is_new(open_source, computed):
    source = open_source()
    source.features(EVERY[:10])
    source.features(EVERY[:25])
    assert sum(computed) == 25
    later = open_source()
    assert (later.at_hand(EVERY), later.at_hand(EVERY[20:]), later.at_hand(EVERY[:0])) == (25, 5, 0)
    later.features(EVERY)
    assert sum(computed) == 36
    assert later.at_hand(EVERY) == 36


def test_a_changed_picture_is_the_only_one_computed_anew(open_source, pictures, computed):
    before = open_source().features(EVERY)
    images = pictures[0].copy()
    images[7] = 255 - images[7]
    computed.clear()
    after = open_source(images).features(EVERY)
    assert sum(computed) == 1
    np.testing.assert_array_equal(np.flatnonzero((after != before).any(axis=1)), [7])


def test_equal_pictures_are_computed_once(open_source, pictures, computed):
    source = open_source(pictures[0][[4, 4, 9, 4]])
    assert source.at_hand(np.arange(4)) == 0
    found = source.features(np.arange(4))
    assert sum(computed) == 2
    assert source.at_hand(np.arange(4)) == 4
    np.testing.assert_array_equal(found[0], found[3])


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"num_classes": 5}, {"name": "timm:test_resnet"}], ids=["seed", "classes", "network"]
)
def test_another_network_has_other_features(open_source, change):
    open_source().features(EVERY[:4])
    assert not open_source(**change).cached(EVERY[:4])


def test_another_way_of_preparing_has_other_features(open_source, preprocessing):
    open_source().features(EVERY[:4])
    assert not open_source(fed=preprocessing.model_copy(update={"mean": (0.4, 0.4, 0.4)})).cached(EVERY[:4])
    assert open_source(fed=preprocessing.model_copy(update={"reason": "said otherwise"})).cached(EVERY[:4])


def test_other_weights_have_other_features(open_source, settings, tmp_path, monkeypatch):
    import torch

    source = open_source()
    source.features(EVERY[:4])
    state = {name: tensor + 0.01 for name, tensor in source.network.module.state_dict().items()}
    torch.save(state, tmp_path / "test_efficientnet.pth")
    monkeypatch.setattr(settings, "__dict__", {**settings.__dict__, "weights_dir": tmp_path})
    other = open_source()
    assert not other.cached(EVERY[:4])
    other.features(EVERY[:4])
    assert other.facts.weights_source == "folder"


def test_a_mirrored_view_is_that_of_mirrored_pictures(open_source, pictures):
    mirrored = open_source().features(EVERY[:6], view="hflip")
    source = open_source()
    assert not source.cached(EVERY[:6])
    assert source.cached(EVERY[:6], "hflip")
    expected = open_source(np.ascontiguousarray(pictures[0][:, :, ::-1])).features(EVERY[:6])
    np.testing.assert_array_equal(mirrored, expected)


def test_a_damaged_file_is_computed_anew(open_source, settings):
    rows = open_source().features(EVERY)
    source = open_source()
    path = next((settings.cache_dir / "features").rglob("*.npz"))
    path.write_bytes(path.read_bytes()[:-100])
    np.testing.assert_array_equal(source.features(EVERY), rows)


def test_damaged_facts_are_counted_anew(open_source, settings):
    facts = open_source().facts
    for path in (settings.cache_dir / "features").rglob("facts.json"):
        path.write_text("{")
    assert open_source().facts == facts


def test_what_was_done_before_a_cancel_is_kept(open_source, monkeypatch, computed):
    monkeypatch.setattr(torch_forward, "forward_batch", lambda *_, **__: 8)
    answers = iter([False, False, True])
    with pytest.raises(JobCancelled):
        open_source(control=RunControl(cancelled=lambda: next(answers))).features(EVERY)
    computed.clear()
    open_source().features(EVERY)
    assert sum(computed) == 36 - 16


def test_cost_is_known_after_the_first_pictures(open_source):
    source = open_source()
    assert source.estimate_seconds(36) is None
    source.features(EVERY[:10])
    whole, part = source.estimate_seconds(1000), source.estimate_seconds(13)
    assert whole == pytest.approx(2 * part)
    assert 0 < part < 10
    assert open_source().estimate_seconds(13) == pytest.approx(part)


def test_a_full_memory_halves_the_batch_once(open_source, monkeypatch):
    sizes = []
    plain = feature_store.TorchForward.__call__

    def small(self, images):
        if len(images) > COMPARED:  # not the comparison
            sizes.append(len(images))
        if len(images) > 16:
            raise MemoryError
        return plain(self, images)

    expected = open_source().features(EVERY)
    monkeypatch.setattr(torch_forward, "forward_batch", lambda *_, **__: 32)
    monkeypatch.setattr(feature_store.TorchForward, "__call__", small)
    np.testing.assert_allclose(open_source(seed=42, num_classes=3).features(EVERY, view="plain"), expected)
    open_source(seed=7).features(EVERY)
    assert sizes == [32, 16, 16]  # and 4 more


def test_a_memory_that_is_too_small_is_a_sentence(open_source, monkeypatch):
    def never(self, images):
        raise MemoryError

    monkeypatch.setattr(feature_store.TorchForward, "__call__", never)
    with pytest.raises(OutOfMemory, match="test_efficientnet, even in batches of 2 images"):
        open_source().features(EVERY)


def test_no_places_give_no_rows(open_source):
    assert open_source().features(EVERY[:0]).shape[0] == 0


def test_the_cache_is_kept_under_its_limit(open_source, settings):
    old = settings.cache_dir / "decoded" / "old.npy"
    old.parent.mkdir(parents=True)
    with old.open("wb") as file:
        file.truncate((settings.cache_mb + 1) * 2**20)
    os.utime(old, (0, 0))
    open_source().features(EVERY[:4])
    assert not old.exists()
    assert open_source().cached(EVERY[:4])


def test_training_the_network_does_not_change_later_features(open_source, pictures):
    import torch

    source = open_source()
    source.features(EVERY[:8])
    network = source.network
    with torch.no_grad():
        for parameter in network.module.parameters():
            parameter.add_(1.0)
    mirrored = source.features(EVERY[:8], view="hflip")
    expected = open_source(np.ascontiguousarray(pictures[0][:, :, ::-1])).features(EVERY[:8])
    np.testing.assert_array_equal(mirrored, expected)
    assert source.network is network
