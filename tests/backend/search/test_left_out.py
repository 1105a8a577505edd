import numpy as np
import pytest

from backend.search import left_out as room
from backend.search.left_out import left_out


def clouds(images=90, *, seed=0, classes=3, distance=3.0):
    random = np.random.default_rng(seed)
    targets = np.arange(images) % classes
    return random.normal(size=(images, 8)) + distance * np.eye(8)[targets], targets


def refitted(features, targets, away, *, weights):
    """Weighted kernel ridge without the images `away`, solved the long way, for those images."""
    rows = (features - features.mean(axis=0)) / features.std(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    kernel = np.exp((rows @ rows.T - 1) / room.WIDTH)
    truth = np.eye(targets.max() + 1)[targets]
    prior = (weights[:, None] * truth).mean(axis=0)
    kept = np.setdiff1d(np.arange(len(targets)), away)
    system = kernel[np.ix_(kept, kept)] + room.RIDGE * np.diag(1 / weights[kept])
    return prior + kernel[np.ix_(away, kept)] @ np.linalg.solve(system, (truth - prior)[kept])


def test_each_answer_is_that_of_a_fit_without_the_image():
    features, targets = clouds()
    answers = left_out(features, targets, num_classes=3)
    for place in (0, 17, 89):
        expected = refitted(features, targets, [place], weights=np.ones(90))
        np.testing.assert_allclose(answers[[place]], expected, atol=1e-3)
    np.testing.assert_allclose(answers.sum(axis=1), 1)


def test_a_group_is_left_out_together_and_classes_can_have_the_same_say():
    features, targets = clouds()
    keep = np.setdiff1d(np.arange(90), np.arange(2, 60, 3))  # the third class is small
    features, targets = features[keep], targets[keep]
    groups = np.arange(len(keep))
    groups[[3, 5, 8]] = 3
    weights = (len(targets) / (3 * np.bincount(targets)))[targets]
    answers = left_out(features, targets, num_classes=3, groups=groups, balanced=True)
    np.testing.assert_allclose(answers[[3, 5, 8]], refitted(features, targets, [3, 5, 8], weights=weights), atol=1e-3)
    np.testing.assert_allclose(answers[[4]], refitted(features, targets, [4], weights=weights), atol=1e-3)


def test_copies_with_one_wrong_label_do_not_vouch_for_each_other():
    features, targets = clouds()
    features[3] = features[6] = features[0]
    targets[[0, 3, 6]] = 1  # they lie in the cloud of class 0
    alone = left_out(features, targets, num_classes=3)
    groups = np.arange(90)
    groups[[3, 6]] = 0
    together = left_out(features, targets, num_classes=3, groups=groups)
    assert together[0].argmax() == 0
    assert together[0, 1] < alone[0, 1] - 0.2


def test_many_images_are_described_by_a_sample_of_them(monkeypatch):
    features, targets = clouds(600)
    exact = left_out(features, targets, num_classes=3)
    monkeypatch.setattr(room, "MOST_LANDMARKS", 200)
    monkeypatch.setattr(room, "SINGLE_PRECISION_FROM", 500)
    monkeypatch.setattr(room, "BLOCK", 64)
    sampled = left_out(features, targets, num_classes=3)
    np.testing.assert_allclose(sampled, exact, atol=0.15)
    assert (sampled.argmax(axis=1) == exact.argmax(axis=1)).mean() > 0.97
    np.testing.assert_array_equal(sampled, left_out(features, targets, num_classes=3))


def test_equal_and_constant_features_and_absent_classes_do_no_harm():
    answers = left_out(np.ones((12, 4), np.float32), np.tile([0, 2], 6), num_classes=4, balanced=True)
    assert np.isfinite(answers).all()
    np.testing.assert_allclose(answers[:, [1, 3]], 0, atol=1e-9)


def test_lengths_that_do_not_agree_are_refused():
    with pytest.raises(ValueError, match="3 features, 2 targets"):
        left_out(np.ones((3, 2)), np.array([0, 1]), num_classes=2)
