"""A batch of members: what is sound is packed, each picture once; what is not costs itself alone."""

from __future__ import annotations

import hashlib

import pytest

from backend.data import taking
from backend.data.members import Member
from backend.data.pictures import read_picture
from backend.data.taking import Intake, Taker, Task


class Bytes:
    def __init__(self, contents):
        self._contents = contents

    def read(self, member):
        return self._contents[member.name]


@pytest.fixture
def take(tmp_path):
    def run(contents, *, known=frozenset(), number=7, max_pixels=10**6):
        (tmp_path / "images").mkdir(exist_ok=True)
        taker = Taker(Intake(tmp_path, max_pixels, known), reader=Bytes(contents))
        tasks = [Task(place, Member(name, len(data), None)) for place, (name, data) in enumerate(contents.items())]
        return taker.take(number, tasks)

    return run


@pytest.fixture
def contents(picture):
    return {
        "a.jpg": picture(1, size=(32, 32), form="JPEG"),
        "b.png": picture(2, size=(32, 32)),
        "broken.jpg": picture(3, size=(32, 32), form="JPEG")[:-200],
        "again.jpg": picture(1, size=(32, 32), form="JPEG"),
        "empty.png": b"",
        "large.jpg": picture(4, size=(620, 300), form="JPEG"),
    }


def test_sound_pictures_are_packed_each_once(take, contents, tmp_path):
    taken = take(contents)
    good = {"a.jpg", "b.png", "again.jpg", "large.jpg"}
    for (name, data), one in zip(contents.items(), taken, strict=True):
        assert (one.problem == "") is (name in good), one.problem
        if name in good:
            assert read_picture(tmp_path, one.path) == data
            assert one.digest == hashlib.sha256(data).hexdigest()
            assert one.facts is not None
    assert taken[0].path == taken[3].path
    assert taken[5][3:5] == (620, 300)
    stored = {contents[name] for name in good}
    assert (tmp_path / "images" / "00007.pack").stat().st_size == sum(len(data) for data in stored)


def test_what_is_stored_already_is_looked_at_but_not_written(take, contents, tmp_path):
    known = frozenset(hashlib.sha256(data).hexdigest() for data in contents.values())
    taken = take(contents, known=known)
    assert list((tmp_path / "images").iterdir()) == []
    assert taken[0].path == f"images/{taken[0].digest[:16]}.jpg"


def test_too_many_pixels_are_refused_in_every_lane(take, contents):
    assert all("pixels" in one.problem for one in take(contents, max_pixels=1000) if one.place not in (2, 4))


def test_columns_of_any_length_tell_the_same(take, contents, monkeypatch):
    together = [one.facts for one in take(contents)]
    monkeypatch.setattr(taking, "PIXELS_TOGETHER", 1)
    assert [one.facts for one in take(contents, number=8)] == together
