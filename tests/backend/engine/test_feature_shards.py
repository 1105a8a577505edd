from __future__ import annotations

import numpy as np
import pytest

from backend.engine.feature_shards import FeatureShards, picture_key


def keys(*names):
    return [picture_key(name) for name in names]


def rows(*values):
    return np.array([[value, value + 0.5] for value in values], np.float32)


@pytest.fixture
def shards(tmp_path):
    kept = FeatureShards(tmp_path)
    kept.add(keys("a", "b", "c"), rows(1, 2, 3))
    return kept


def test_rows_come_back_in_the_order_asked_also_twice(shards):
    np.testing.assert_array_equal(shards.read(keys("c", "a", "c")), rows(3, 1, 3))


def test_rows_of_several_files_are_joined(shards):
    shards.add(keys("d"), rows(4))
    np.testing.assert_array_equal(shards.read(keys("d", "b")), rows(4, 2))


def test_what_is_missing_is_named_once(shards):
    assert shards.missing(keys("x", "a", "x", "y")) == keys("x", "y")
    assert shards.read(keys("a", "x")) is None


def test_another_process_finds_them_and_what_it_adds_is_taken_in(shards, tmp_path):
    other = FeatureShards(tmp_path)
    assert other.missing(keys("a", "b", "c")) == []
    other.add(keys("d"), rows(4))
    assert shards.missing(keys("d"))
    shards.refresh()
    np.testing.assert_array_equal(shards.read(keys("d")), rows(4))


def test_both_may_add_the_same(shards, tmp_path):
    other = FeatureShards(tmp_path)
    other.add(keys("a", "b", "c"), rows(1, 2, 3))
    other.add(keys("c", "d"), rows(3, 4))
    np.testing.assert_array_equal(FeatureShards(tmp_path).read(keys("c", "d")), rows(3, 4))


@pytest.mark.parametrize("damage", [lambda data: data[:50], lambda data: data[: len(data) // 2], lambda _: b""])
def test_a_file_cut_short_counts_as_absent(tmp_path, shards, damage):
    path = next(tmp_path.glob("*.npz"))
    path.write_bytes(damage(path.read_bytes()))
    assert shards.read(keys("a")) is None
    assert shards.missing(keys("a")) == keys("a")
    assert FeatureShards(tmp_path).missing(keys("a")) == keys("a")
    assert list(tmp_path.glob("*.npz")) == []


def test_a_flipped_bit_is_noticed(tmp_path, shards):
    path = next(tmp_path.glob("*.npz"))
    data = bytearray(path.read_bytes())
    place = data.find(rows(2).tobytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert shards.read(keys("a")) is None


def test_a_file_that_vanished_counts_as_absent(tmp_path, shards):
    next(tmp_path.glob("*.npz")).unlink()
    assert shards.read(keys("a")) is None
    assert shards.missing(keys("a")) == keys("a")
