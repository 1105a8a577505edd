from __future__ import annotations

import pytest

from backend.data.imbalance import is_imbalanced


@pytest.mark.parametrize(
    ("counts", "uneven"), [([30, 10], False), ([31, 10], True), ([5, 5, 5], False), ([1, 0], True)]
)
def test_classes_are_uneven_beyond_three_to_one(counts, uneven):
    assert is_imbalanced(counts) is uneven
