"""Items of a version as columns: whatever they hold comes back, and what is damaged is said to be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from backend.contracts import ImageFacts, ImageItem
from backend.data.item_table import DamagedTable, read_items, read_lines, write_items

TEXT = st.text(max_size=20)
SHARE = st.floats(0, 1)
FACTS = st.builds(
    ImageFacts,
    format=TEXT,
    mode=TEXT,
    perceptual_hash=TEXT,
    brightness=SHARE,
    contrast=SHARE,
    sharpness=st.floats(0, 1e6),
    low=SHARE,
    high=SHARE,
    entropy=SHARE,
    signature=st.sampled_from(["", "AAAA", "AQID" * 54]),
)
ITEMS = st.builds(
    ImageItem,
    image_id=TEXT,
    path=TEXT,
    label=TEXT,
    digest=TEXT,
    width=st.integers(1, 10**6),
    height=st.integers(1, 10**6),
    labels=st.lists(TEXT, max_size=3).map(tuple),
    file=TEXT,
    subset=st.sampled_from([None, "train", "test"]),
    added_in=st.integers(1, 9),
    first_label=st.none() | TEXT,
    facts=st.none() | FACTS,
)


@settings(deadline=None, max_examples=60)
@given(items=st.lists(ITEMS, max_size=6))
def test_any_items_come_back_as_they_were(items, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "items.npz"
    write_items(items, path)
    assert read_items(path) == tuple(items)


@pytest.fixture
def items():
    facts = ImageFacts("PNG", "RGB", "0" * 16, 0.5, 0.1, 12.0, signature="AQID")
    plain = ImageItem(image_id="abc", path="images/a.png", label="cat", digest="d", width=3, height=4)
    return (plain, plain.model_copy(update={"image_id": "abd", "labels": ("cat", "dog"), "facts": facts}))


def test_lines_of_older_datasets_are_read(items, tmp_path):
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"".join(to_json(item) + b"\n" for item in items))
    assert read_lines(path) == items
    path.write_bytes(b'{"image_id": "abc"}\n')
    with pytest.raises(DamagedTable, match="required"):
        read_lines(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_table_cut_short_is_damaged(items, tmp_path, share):
    path = tmp_path / "items.npz"
    write_items(items, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DamagedTable):
        read_items(path)


def test_a_changed_byte_is_noticed(items, tmp_path):
    path = tmp_path / "items.npz"
    write_items(items, path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"images/a.png", b"images/b.png"))
    with pytest.raises(DamagedTable, match="CRC"):
        read_items(path)


def test_nothing_there_is_not_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_items(tmp_path / "items.npz")
