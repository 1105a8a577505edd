from __future__ import annotations

import numpy as np
import pytest

from backend.engine.conformal import ROUNDING, bound


@pytest.mark.parametrize("images", [5, 15, 40, 60, 500])
def test_new_images_of_the_same_kind_exceed_the_bound_no_more_often_than_promised(images):
    random = np.random.default_rng(images)
    shares = []
    for _ in range(300):
        distances = np.exp(random.normal(-1.5, 0.25, images + 200))
        shares.append(np.mean(distances[images:] > bound(distances[:images], 0.02)))
    assert np.mean(shares) == pytest.approx(0.02, abs=0.012)
    assert np.mean(shares) <= 0.025


def test_with_enough_images_nothing_is_assumed_of_their_distances():
    distances = np.arange(1.0, 100.0)  # 99 of them
    assert bound(distances, 0.05) == 95.0
    assert bound(distances, 0.01) == 99.0
    assert bound(np.append(distances[:-1], 1e6), 0.05) == 95.0


def test_of_few_images_more_is_allowed_than_the_largest_seen():
    few = np.array([0.20, 0.22, 0.25])
    assert 0.25 < bound(few, 0.02) < 1.0
    assert bound(few, 0.001) > bound(few, 0.02)


def test_one_image_is_enough_for_a_bound_and_copies_alone_give_a_small_one():
    assert 0.3 < bound(np.array([0.3]), 0.02) < 1.0
    assert ROUNDING < bound(np.zeros(3), 0.02) < 10 * ROUNDING


@pytest.mark.parametrize(("distances", "share"), [([], 0.02), ([0.1], 0.0), ([0.1], 1.0)])
def test_what_says_nothing_is_refused(distances, share):
    with pytest.raises(ValueError, match="share"):
        bound(np.array(distances), share)
