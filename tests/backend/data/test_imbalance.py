from __future__ import annotations

import pytest

from backend.data.imbalance import imbalance_ratio, is_imbalanced


@pytest.mark.parametrize(
    ("counts", "uneven"), [([30, 10], False), ([31, 10], True), ([5, 5, 5], False), ([1, 0], True)]
)
def test_classes_are_uneven_beyond_three_to_one(counts, uneven):
    assert is_imbalanced(counts) is uneven


@pytest.mark.parametrize(("counts", "ratio"), [([30, 10], 3.0), ([5, 5], 1.0), ([7, 0], 7.0)])
def test_the_ratio_is_the_largest_class_by_the_smallest_and_an_empty_one_counts_as_one_image(counts, ratio):
    assert imbalance_ratio(counts) == ratio
