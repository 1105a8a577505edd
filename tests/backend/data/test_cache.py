from __future__ import annotations

import os

import numpy as np
import pytest

from backend.contracts import Preprocessing, RunControl
from backend.data import cache
from backend.data.cache import decoded_images, keep_decoded
from backend.data.images import prepare_image
from backend.data.pictures import open_picture, where
from backend.errors import ImageError, JobCancelled, TooLargeError

HOW = Preprocessing(height=8, width=6, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.fixture
def dataset(import_members_of, folders):
    return import_members_of(folders({"a": 4, "b": 3}))


def entries(folder) -> list[str]:
    return [path.name for path in (folder / "decoded").iterdir()]


def test_every_image_lies_at_its_place_as_prepared(dataset, tmp_path):
    images = decoded_images(dataset, HOW, cache_dir=tmp_path)
    assert (images.shape, images.dtype) == ((7, 8, 6, 3), np.uint8)
    for place, item in enumerate(dataset.items):
        expected = prepare_image(open_picture(dataset.root, item.path, max_pixels=10**6), HOW)
        assert images[place].tobytes() == expected.tobytes()


def test_the_second_call_decodes_nothing(dataset, tmp_path, monkeypatch):
    first = decoded_images(dataset, HOW, cache_dir=tmp_path)
    monkeypatch.setattr(cache, "open_picture", None)
    again = decoded_images(dataset, HOW, cache_dir=tmp_path)
    assert isinstance(again, np.memmap)
    assert first.tobytes() == again.tobytes()
    assert len(entries(tmp_path)) == 1


def test_the_images_cannot_be_changed_by_a_network(dataset, tmp_path):
    with pytest.raises(ValueError, match="read-only"):
        decoded_images(dataset, HOW, cache_dir=tmp_path)[0] = 0


@pytest.mark.parametrize(
    "change", [{"height": 9}, {"resize": "letterbox"}, {"interpolation": "bilinear"}, {"resize": "crop"}]
)
def test_another_preparation_is_another_file(dataset, change):
    assert cache.cache_key(dataset, HOW) != cache.cache_key(dataset, HOW.model_copy(update=change))


def test_the_mean_counts_where_it_is_the_border(dataset):
    other = {"mean": (0.1, 0.1, 0.1)}
    boxed = HOW.model_copy(update={"resize": "letterbox"})
    assert cache.cache_key(dataset, HOW) == cache.cache_key(dataset, HOW.model_copy(update=other))
    assert cache.cache_key(dataset, boxed) != cache.cache_key(dataset, boxed.model_copy(update=other))


def test_other_items_or_another_order_are_another_file(dataset):
    turned = dataset.with_items(reversed(dataset.items))
    fewer = dataset.with_items(dataset.items[:-1])
    assert len({cache.cache_key(one, HOW) for one in (dataset, turned, fewer)}) == 3


def test_a_file_cut_short_is_built_anew(dataset, tmp_path):
    whole = decoded_images(dataset, HOW, cache_dir=tmp_path).tobytes()
    path = tmp_path / "decoded" / entries(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:200])
    assert decoded_images(dataset, HOW, cache_dir=tmp_path).tobytes() == whole


def test_a_vanished_image_is_named_and_leaves_nothing_behind(dataset, tmp_path):
    item = dataset.items[0]
    (dataset.root / where(item.path).file).unlink()
    with pytest.raises(ImageError, match=item.image_id):
        decoded_images(dataset, HOW, cache_dir=tmp_path)
    assert entries(tmp_path) == []


def test_cancelling_leaves_nothing_behind(dataset, tmp_path):
    with pytest.raises(JobCancelled):
        decoded_images(dataset, HOW, cache_dir=tmp_path, control=RunControl(cancelled=lambda: True))
    assert entries(tmp_path) == []


def test_a_full_disk_is_said_before_decoding(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "free_bytes", lambda path: 1000)
    with pytest.raises(TooLargeError, match="0 MiB free"):
        decoded_images(dataset, HOW, cache_dir=tmp_path)


def test_two_builders_of_one_array_do_not_meet(dataset, tmp_path, monkeypatch):
    """The other process finishes while this one is decoding: both get the whole array."""
    build = cache._build
    others = []

    def build_after_the_other(*args, **kwargs):
        monkeypatch.setattr(cache, "_build", build)
        others.append(decoded_images(dataset, HOW, cache_dir=tmp_path))
        build(*args, **kwargs)

    monkeypatch.setattr(cache, "_build", build_after_the_other)
    mine = decoded_images(dataset, HOW, cache_dir=tmp_path)
    assert mine.tobytes() == others[0].tobytes()
    assert len(entries(tmp_path)) == 1


def test_progress_is_reported_in_words(dataset, tmp_path):
    seen = []
    decoded_images(dataset, HOW, cache_dir=tmp_path, control=RunControl(report=seen.append))
    assert seen[-1].message == "Decoded 7 of 7 images"


def test_a_new_array_makes_room_by_what_was_used_longest_ago(dataset, tmp_path):
    old = tmp_path / "decoded" / "old.npy"
    old.parent.mkdir()
    old.write_bytes(b"0" * 2**20)
    os.utime(old, (0, 0))
    decoded_images(dataset, HOW, cache_dir=tmp_path, limit_mb=2)
    assert len(entries(tmp_path)) == 2
    decoded_images(dataset, HOW.model_copy(update={"height": 9}), cache_dir=tmp_path, limit_mb=1)
    assert len(entries(tmp_path)) == 2
    assert not old.exists()


def test_an_array_that_is_read_counts_as_used(dataset, tmp_path):
    decoded_images(dataset, HOW, cache_dir=tmp_path)
    path = next((tmp_path / "decoded").iterdir())
    os.utime(path, (0, 0))
    decoded_images(dataset, HOW, cache_dir=tmp_path)
    assert path.stat().st_mtime > 0


def test_parts_from_elsewhere_make_the_same_array_and_are_asked_for_once(dataset, tmp_path):
    ours = decoded_images(dataset, HOW, cache_dir=tmp_path / "here")
    asked = []

    def parts():
        asked.append(True)
        yield ours[:3]
        yield ours[3:]

    for _ in range(2):
        theirs = keep_decoded(dataset, HOW, parts, cache_dir=tmp_path / "there")
        assert theirs.tobytes() == ours.tobytes()
    assert len(asked) == 1
    again = decoded_images(dataset, HOW, cache_dir=tmp_path / "there")
    assert again.tobytes() == ours.tobytes()


def test_parts_that_do_not_add_up_leave_nothing_behind(dataset, tmp_path):
    ours = decoded_images(dataset, HOW, cache_dir=tmp_path / "here")
    with pytest.raises(ValueError, match="3 of 7"):
        keep_decoded(dataset, HOW, lambda: [ours[:3]], cache_dir=tmp_path / "there")
    assert entries(tmp_path / "there") == []
