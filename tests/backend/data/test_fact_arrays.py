"""Facts of many pictures at once are those of each alone, and those that one picture at a time gives."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from backend.data.columns import column_of
from backend.data.fact_arrays import measure
from backend.data.facts import facts_of, read_signature, told
from tests.backend.data.facts_reference import hash_of, numbers_of, signature_of

SIZES = [(32, 32), (28, 28), (64, 48), (100, 37), (2, 9), (1, 1), (300, 2), (160, 150), (256, 256)]


def scenes(size: tuple[int, int], count: int = 5) -> list[Image.Image]:
    """Pictures with edges and colours; one is black."""
    noise = np.random.default_rng(sum(size))
    coarse = [noise.integers(0, 256, (5, 6, 3), dtype=np.uint8) for _ in range(count - 1)]
    made = [Image.fromarray(one).resize(size, Image.Resampling.BICUBIC) for one in coarse]
    return [*made, Image.new("RGB", size)]


@pytest.mark.parametrize("size", [size for size in SIZES if max(size) <= 256])
def test_many_at_once_are_as_one_at_a_time(size):
    pictures = scenes(size)
    together = list(told(measure(column_of(pictures), len(pictures)), [("PNG", "RGB")] * len(pictures)))
    assert together == [facts_of(one, format_name="PNG", mode="RGB") for one in pictures]


@pytest.mark.parametrize("size", [*SIZES, (640, 160), (500, 500)])
def test_they_agree_with_the_reference_but_for_rounding(size):
    for picture in scenes(size):
        found = facts_of(picture, format_name="PNG", mode="RGB")
        for name, value in numbers_of(picture).items():
            assert getattr(found, name) == pytest.approx(value, abs=0.006, rel=1e-3), name
        signature = signature_of(picture).astype(int)
        assert np.abs(read_signature(found.signature).astype(int) - signature).max() <= 2
        if numbers_of(picture)["contrast"] > 0.02:  # the frequencies of one colour are all rounding
            assert (int(found.perceptual_hash, 16) ^ hash_of(picture)).bit_count() <= 2
