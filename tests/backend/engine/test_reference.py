from __future__ import annotations

import numpy as np
import pytest

from backend.engine import reference as reference_module
from backend.engine.reference import Reference, build_reference, nearest_distance
from backend.errors import InputError


def cloud(count, *, seed, centre=5.0):
    features = np.random.default_rng(seed).normal(size=(count, 16))
    features[:, 0] += centre
    return features.astype(np.float32)


def built(count=60):
    ids, labels = [f"image-{n}" for n in range(count)], ["cat", "dog"] * (count // 2)
    return build_reference(cloud(count, seed=0), cloud(40, seed=1), image_ids=ids, labels=labels)


def distance_to(reference, features):
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    return nearest_distance(reference.features, unit, neighbours=reference.neighbours)


def test_most_images_of_the_same_kind_are_within_the_threshold_and_others_are_not():
    reference = built()
    assert np.mean(distance_to(reference, cloud(200, seed=2)) <= reference.threshold) > 0.9
    assert np.all(distance_to(reference, cloud(200, seed=3, centre=-5.0)) > reference.threshold)


def test_the_threshold_is_what_99_in_100_held_out_images_stay_within():
    reference = built()
    distances = distance_to(reference, cloud(40, seed=1))
    assert reference.threshold == pytest.approx(np.quantile(distances, 0.99), abs=1e-6)


def test_features_are_half_floats_of_unit_length():
    reference = built()
    assert reference.features.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(reference.features.astype(float), axis=1), 1.0, atol=2e-3)


def test_many_images_are_sampled_with_their_own_ids_and_labels(monkeypatch):
    monkeypatch.setattr(reference_module, "MOST_IMAGES", 10)
    reference = built()
    assert len(reference.features) == len(reference.image_ids) == len(reference.labels) == 10
    places = [int(image_id.removeprefix("image-")) for image_id in reference.image_ids]
    assert [["cat", "dog"][place % 2] for place in places] == list(reference.labels)
    plain = cloud(60, seed=0)[places]
    np.testing.assert_allclose(reference.features, plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-3)


def test_saving_and_loading_changes_nothing(tmp_path):
    reference = built()
    reference.save(tmp_path / "reference.npz")
    loaded = Reference.load(tmp_path / "reference.npz")
    np.testing.assert_array_equal(loaded.features, reference.features)
    assert (loaded.image_ids, loaded.labels) == (reference.image_ids, reference.labels)
    assert (loaded.threshold, loaded.neighbours) == (reference.threshold, reference.neighbours)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "reference.npz").write_bytes(b"not an archive")
    with pytest.raises(InputError, match=r"reference\.npz"):
        Reference.load(tmp_path / "reference.npz")


def test_fewer_than_five_training_images_are_enough():
    reference = build_reference(cloud(2, seed=0), cloud(1, seed=1), image_ids=["a1", "b1"], labels=["a", "b"])
    assert 0 <= reference.threshold <= 2


def test_ids_that_do_not_go_with_the_features_are_refused():
    with pytest.raises(ValueError, match="60 training"):
        build_reference(cloud(60, seed=0), cloud(4, seed=1), image_ids=["a"], labels=["b"])
