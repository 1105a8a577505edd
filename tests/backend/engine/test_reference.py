from __future__ import annotations

import numpy as np
import pytest

from backend.engine import reference as reference_module
from backend.engine.conformal import bound
from backend.engine.reference import (
    FALSE_ALARMS,
    Known,
    Reference,
    build_reference,
    build_reference_of_frozen,
    distances_between,
    nearest_mean,
)
from backend.errors import InputError


def cloud(count, *, seed, centre=5.0):
    features = np.random.default_rng(seed).normal(size=(count, 16))
    features[:, 0] += centre
    return features.astype(np.float32)


def built(count=60):
    ids, labels = [f"image-{n}" for n in range(count)], ["cat", "dog"] * (count // 2)
    return build_reference(cloud(count, seed=0), cloud(40, seed=1), image_ids=ids, labels=labels)


def distance_to(reference, features):
    return distances_between(reference.features, features, neighbours=reference.neighbours)


def known(features, labels=None, groups=None):
    labels = ["cat"] * len(features) if labels is None else labels
    ids = [f"image-{n}" for n in range(len(features))]
    return Known(features=features, image_ids=ids, labels=labels, groups=groups)


def test_most_images_of_the_same_kind_are_within_the_threshold_and_others_are_not():
    reference = built()
    assert np.mean(distance_to(reference, cloud(200, seed=2)) <= reference.threshold) > 0.9
    assert np.all(distance_to(reference, cloud(200, seed=3, centre=-5.0)) > reference.threshold)


def test_the_threshold_is_the_bound_of_the_held_out_distances():
    reference = built()
    distances = distance_to(reference, cloud(40, seed=1))
    assert reference.threshold == pytest.approx(bound(distances, FALSE_ALARMS), rel=1e-3)
    assert (reference.measured_on, reference.false_alarms) == (40, FALSE_ALARMS)


def test_of_a_frozen_network_every_image_judges_and_is_kept():
    reference = build_reference_of_frozen(known(cloud(120, seed=0)))
    assert len(reference.features) == reference.measured_on == 120
    assert np.mean(distance_to(reference, cloud(400, seed=2)) > reference.threshold) < 0.05
    assert np.all(distance_to(reference, cloud(50, seed=3, centre=-5.0)) > reference.threshold)


def test_an_image_left_out_takes_its_copies_with_it():
    features = np.repeat(cloud(60, seed=0), 6, axis=0)  # six copies of each: five neighbours without distance
    copies = np.repeat(np.arange(60), 6)
    apart = build_reference_of_frozen(known(features, groups=copies))
    assert build_reference_of_frozen(known(features)).threshold < 0.01
    # the nearest five are now copies of one other picture: farther off than five pictures would be, never nearer
    assert apart.threshold > 0.5 * build_reference_of_frozen(known(cloud(60, seed=0))).threshold


def test_copies_of_one_picture_alone_call_nothing_unfamiliar():
    features = np.repeat(cloud(1, seed=0), 4, axis=0)
    assert build_reference_of_frozen(known(features, groups=np.zeros(4, dtype=int))).threshold >= 2.0


def test_a_rare_label_keeps_all_its_images(monkeypatch):
    monkeypatch.setattr(reference_module, "MOST_IMAGES", 20)
    labels = ["common"] * 90 + ["rare"] * 6
    reference = build_reference_of_frozen(known(cloud(96, seed=0), labels=labels))
    assert (reference.labels.count("rare"), reference.labels.count("common")) == (6, 14)
    assert reference.measured_on == 20


def test_wide_features_are_kept_of_fewer_images(monkeypatch):
    monkeypatch.setattr(reference_module, "MOST_NUMBERS", 16 * 30)
    assert len(build_reference_of_frozen(known(cloud(96, seed=0))).features) == 30


def test_neighbours_without_end_are_none():
    distances = np.array([[0.1, np.inf, 0.3, np.inf], [np.inf] * 4])
    np.testing.assert_allclose(nearest_mean(distances, 3), [0.2, np.inf])


def test_a_reference_of_an_older_version_still_opens(tmp_path):
    new = built()
    fields = {"image_ids": np.array(new.image_ids), "labels": np.array(new.labels)}
    np.savez(tmp_path / "old.npz", features=new.features, threshold=0.25, neighbours=5, **fields)
    old = Reference.load(tmp_path / "old.npz")
    assert (old.threshold, old.neighbours, old.measured_on) == (0.25, 5, 0)
    np.testing.assert_array_equal(old.matrix, new.matrix)


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
    for name in ("threshold", "neighbours", "false_alarms", "measured_on"):
        assert getattr(loaded, name) == getattr(reference, name)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "reference.npz").write_bytes(b"not an archive")
    with pytest.raises(InputError, match=r"reference\.npz"):
        Reference.load(tmp_path / "reference.npz")


def test_fewer_than_five_training_images_are_enough():
    reference = build_reference(cloud(2, seed=0), cloud(1, seed=1), image_ids=["a1", "b1"], labels=["a", "b"])
    assert 0 <= reference.threshold <= 2


def test_ids_that_do_not_go_with_the_features_are_refused():
    with pytest.raises(ValueError, match="60 known"):
        build_reference(cloud(60, seed=0), cloud(4, seed=1), image_ids=["a"], labels=["b"])
