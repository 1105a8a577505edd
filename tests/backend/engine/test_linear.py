"""The linear fit and its folds: equal pictures stay together, a path of strengths is as good as separate fits."""

from __future__ import annotations

import numpy as np
import pytest

from backend.engine.linear import (
    LARGE_FROM,
    SINGLE_PRECISION_FROM,
    LinearPath,
    fit_linear,
    grouped_folds,
    predict_linear,
    sensible_folds,
)


def blobs(count: int, *, classes: int = 3, columns: int = 12, seed: int = 0):
    random = np.random.default_rng(seed)
    targets = np.arange(count) % classes
    centres = random.normal(size=(classes, columns))
    return (centres[targets] + random.normal(size=(count, columns))).astype(np.float32), targets


@pytest.mark.parametrize(("count", "columns"), [(90, 12), (40, 100)])
def test_a_path_of_strengths_ends_where_separate_fits_end(count, columns):
    features, targets = blobs(count, columns=columns)
    path = LinearPath(features, targets, num_classes=3)
    for strength in (1e-3, 1e-1, 1.0):
        head = path.fit(strength)
        alone = fit_linear(features, targets, num_classes=3, strength=strength)
        np.testing.assert_allclose(predict_linear(head, features), predict_linear(alone, features), atol=2e-3)


def test_balanced_gives_a_rare_class_its_say():
    features, targets = blobs(300, classes=2, columns=4, seed=3)
    kept = np.concatenate([np.flatnonzero(targets == 0), np.flatnonzero(targets == 1)[:6]])
    rare = targets[kept] == 1

    def recall(*, balanced: bool) -> float:
        head = fit_linear(features[kept], targets[kept], num_classes=2, strength=1e-3, balanced=balanced)
        return float((predict_linear(head, features[kept][rare]).argmax(axis=1) == 1).mean())

    assert recall(balanced=True) > recall(balanced=False)


def test_large_sets_are_solved_in_single_precision_to_the_same_answer():
    features, targets = blobs(SINGLE_PRECISION_FROM + 10)
    large = fit_linear(features, targets, num_classes=3, strength=0.1)
    half = fit_linear(
        features[: SINGLE_PRECISION_FROM - 1], targets[: SINGLE_PRECISION_FROM - 1], num_classes=3, strength=0.1
    )
    agree = predict_linear(large, features).argmax(axis=1) == predict_linear(half, features).argmax(axis=1)
    assert agree.mean() > 0.99


def test_folds_cover_every_image_once_and_hold_each_class():
    targets = np.array([0] * 20 + [1] * 11 + [2] * 4)
    held = [held_out for _, held_out in grouped_folds(targets, folds=4, seed=1)]
    assert sorted(np.concatenate(held).tolist()) == list(range(35))
    assert all({0, 1, 2} == set(targets[part]) for part in held)


def test_a_group_never_straddles_a_fold():
    targets = np.repeat([0, 1], 30)
    groups = np.arange(60) // 3
    for learn, held_out in grouped_folds(targets, folds=5, seed=2, groups=groups):
        assert not set(groups[learn]) & set(groups[held_out])


def test_the_same_seed_deals_the_same_folds():
    targets = np.repeat([0, 1, 2], 10)
    first, second = (list(grouped_folds(targets, folds=3, seed=5)) for _ in range(2))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, second, strict=True))


def test_many_images_need_fewer_folds():
    assert sensible_folds(LARGE_FROM - 1, 5) == 5
    assert sensible_folds(LARGE_FROM, 5) == 3
    assert sensible_folds(LARGE_FROM, 2) == 2
