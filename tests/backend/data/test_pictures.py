"""One way to the bytes of a picture, wherever they lie."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backend.data.pictures import Stretch, open_picture, packed_path, read_picture, where
from backend.errors import ImageError

ROOT = Path(__file__).resolve().parents[3]
BY_HAND = re.compile(r"/ \w*(items?|image)\w*(\[[^]]*\])?\.path\b")


@pytest.fixture
def root(tmp_path, picture):
    (tmp_path / "images").mkdir()
    one, other = picture(1, size=(12, 8)), picture(2, size=(9, 9))
    (tmp_path / "images" / "00003.pack").write_bytes(one + other)
    (tmp_path / "images" / "0123.png").write_bytes(other)
    return tmp_path, (one, other)


def test_a_picture_is_a_file_or_a_stretch_of_a_pack(root):
    folder, (one, other) = root
    first = packed_path("images/00003.pack", start=0, size=len(one), name="abc.png")
    second = packed_path("images/00003.pack", start=len(one), size=len(other), name="def.png")
    assert first == f"images/00003.pack/0+{len(one)}/abc.png"
    assert [read_picture(folder, path) for path in (first, second, "images/0123.png")] == [one, other, other]
    assert open_picture(folder, second, max_pixels=100).size == (9, 9)
    assert where(second) == Stretch("images/00003.pack", len(one), len(other))


@pytest.mark.parametrize("path", ["images/0123.png", "a.pack", "a.pack/b.png", "a.pack/1+x/b.png", "a.pack/-1+4/b.png"])
def test_what_names_no_stretch_is_a_file(path):
    assert where(path) == Stretch(path)


@pytest.mark.parametrize("path", ["images/none.png", "images/none.pack/0+4/x.png", "images/00003.pack/0+99999/x.png"])
def test_what_is_gone_or_cut_short_is_said(root, path):
    with pytest.raises(ImageError, match=r"no file|too early"):
        read_picture(root[0], path)


def test_nobody_makes_a_path_of_a_picture_by_hand():
    """`root / item.path` works for one file a picture and fails for packs: go through `backend.data.pictures`."""
    sources = [path for folder in ("backend", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py")]
    found = [path for path in sources if BY_HAND.search(path.read_text(encoding="utf-8"))]
    assert found == [Path(__file__)]  # whose own words the pattern finds
