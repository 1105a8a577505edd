"""How measures spread: equal bins, unless few values would squash the rest; no image is lost either way."""

from __future__ import annotations

import numpy as np
import pytest

from backend.data.insights import BINS, spread

USUAL = np.random.default_rng(0).normal(100.0, 20.0, 300)


def widths(histogram):
    return np.diff(histogram.edges)


def test_values_of_a_kind_get_equal_bins():
    found = spread(USUAL)
    assert len(found.histogram.counts) == BINS
    np.testing.assert_allclose(widths(found.histogram), widths(found.histogram)[0], rtol=1e-3)


@pytest.mark.parametrize("values", [[*USUAL, 9000.0], [5, 6, 7, 8, 900], [*np.tile(np.arange(20, 40), 15), 4000]])
def test_few_values_far_above_the_rest_share_one_wide_bin(values):
    found = spread(values).histogram
    assert widths(found)[-1] > 2 * (found.edges[-2] - found.edges[0])
    assert found.edges[-1] == max(values), "the axis still holds them"
    assert sum(found.counts) == len(values), "and they are counted"
    assert 1 <= found.counts[-1] <= 0.011 * len(values) + 1
    assert sum(count > 0 for count in found.counts[:-1]) >= 4, "the rest is no longer one bar"


@pytest.mark.parametrize("values", [[3, 3, 3], [1, 2], [5, 5, 5, 90], []])
def test_few_or_equal_values_are_left_alone(values):
    found = spread(values)
    assert sum(found.histogram.counts) == max(1, len(values))
    assert len(found.histogram.edges) == len(found.histogram.counts) + 1
