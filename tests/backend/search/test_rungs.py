"""The ladder of successive halving, as pure arithmetic."""

import numpy as np
import pytest

from backend.search.rungs import ALWAYS, FIRST, growing_order, ladder, survivors


@pytest.mark.parametrize(
    ("total", "sizes"),
    [
        (30, [30]),
        (2 * FIRST - 1, [2 * FIRST - 1]),
        (2 * FIRST, [FIRST, 2 * FIRST]),
        (16_000, [1000, 4000, 16_000]),
        (20_000, [1000, 4000, 20_000]),
    ],
)
def test_rungs_grow_fourfold_up_to_all_images(total, sizes):
    assert ladder(total) == sizes


def test_every_beginning_holds_each_class_with_its_share_and_a_rare_one_at_once():
    targets = np.array([0] * 5000 + [1] * 4000 + [2] * 30)
    order = growing_order(targets, seed=3)
    assert sorted(order.tolist()) == list(range(len(targets)))
    first = np.bincount(targets[order[:1000]], minlength=3)
    assert first[2] >= ALWAYS
    assert first[0] / first[1] == pytest.approx(5 / 4, rel=0.05)


def test_the_order_is_the_seeds():
    targets = np.repeat([0, 1], 50)
    assert np.array_equal(growing_order(targets, seed=1), growing_order(targets, seed=1))
    assert not np.array_equal(growing_order(targets, seed=1), growing_order(targets, seed=2))


def test_the_better_half_climbs_on_and_so_does_a_tie_with_the_best():
    assert survivors([0.5, 0.9, 0.6, 0.8], [False] * 4) == [1, 3]
    assert survivors([0.5, 0.9, 0.6, 0.8], [False, True, True, True]) == [1, 3, 2]
    assert survivors([0.5, 0.9, 0.6], [False] * 3) == [1, 2]
