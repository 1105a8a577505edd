from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from backend.data.pages import release_pages

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def mapped_mb():
    """Resident megabytes of mapped files."""
    return int(re.search(r"RssFile:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1000


@pytest.fixture
def large(tmp_path):
    """A file of 64 MB, one byte a page set."""
    array = np.lib.format.open_memmap(tmp_path / "large.npy", mode="w+", dtype=np.uint8, shape=(64, 1_000_000))
    array[:, ::1000] = 7
    array.flush()
    del array
    return tmp_path / "large.npy"


@linux_only
def test_read_pages_are_let_go_and_read_again(large):
    array = np.load(large, mmap_mode="r")
    before = mapped_mb()
    total = int(array.sum())
    assert mapped_mb() - before > 50
    release_pages(array[10:20])  # a part of an array lies in the same mapping
    assert mapped_mb() - before < 10
    assert int(array.sum()) == total


@linux_only
def test_written_pages_reach_the_file(large):
    array = np.lib.format.open_memmap(large, mode="r+")
    before = mapped_mb()
    array[:] = 9
    release_pages(array)
    assert mapped_mb() - before < 10
    assert (np.load(large) == 9).all()


def test_an_array_in_memory_is_left_alone():
    array = np.arange(10)
    release_pages(array)
    assert array.sum() == 45
