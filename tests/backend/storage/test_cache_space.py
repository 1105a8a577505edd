from __future__ import annotations

import os
import time

import pytest

from backend.storage.cache_space import mark_used, prune

MIB = 2**20
HOUR = 3600.0


@pytest.fixture
def cache(tmp_path):
    """Three entries of 1 MiB, last used three, two and one days ago."""
    for days, name in ((3, "decoded/old.npy"), (2, "features/middle"), (1, "decoded/new.npy")):
        path = tmp_path / name
        if name.startswith("features"):
            (path / "plain").mkdir(parents=True)
            file = path / "plain" / "rows.npz"
        else:
            path.parent.mkdir(exist_ok=True)
            file = path
        file.write_bytes(b"0" * MIB)
        used = time.time() - days * 86_400
        for place in {file, file.parent, path}:
            os.utime(place, (used, used))
    return tmp_path


def left(cache):
    return sorted(path.name for path in cache.glob("*/*"))


def test_nothing_goes_below_the_limit(cache):
    assert prune(cache, limit_mb=3) == 0
    assert left(cache) == ["middle", "new.npy", "old.npy"]


def test_the_least_recently_used_goes_first_a_folder_whole(cache):
    assert prune(cache, limit_mb=2) == MIB
    assert left(cache) == ["middle", "new.npy"]
    assert prune(cache, limit_mb=1) == MIB
    assert left(cache) == ["new.npy"]


def test_what_was_read_lately_counts_as_new(cache):
    mark_used(cache / "decoded" / "old.npy")
    prune(cache, limit_mb=2)
    assert left(cache) == ["new.npy", "old.npy"]


def test_what_is_in_use_stays_even_over_the_limit(cache):
    mark_used(cache / "decoded" / "new.npy")
    prune(cache, limit_mb=0)
    assert left(cache) == ["new.npy"]
    assert prune(cache, limit_mb=0, spared_s=-HOUR) == MIB


def test_half_written_entries_are_not_counted(cache):
    (cache / "decoded" / ".tmp-0123456789-x.npy").write_bytes(b"0" * MIB)
    assert prune(cache, limit_mb=3) == 0
    assert len(left(cache)) == 4


def test_an_absent_folder_is_empty(tmp_path):
    assert prune(tmp_path / "none", limit_mb=1) == 0
    mark_used(tmp_path / "none")


def test_a_cache_that_cannot_be_looked_through_costs_nobody_his_work(cache, monkeypatch, caplog):
    def refused(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("backend.storage.cache_space.remove_leftovers", refused)
    assert prune(cache, limit_mb=0) == 0
    assert left(cache) == ["middle", "new.npy", "old.npy"]
    assert "cache not pruned" in caplog.text
