"""A batch of members: what is sound is packed, each picture once; what is not costs itself alone."""

from __future__ import annotations

import hashlib

from backend.data import taking
from backend.data.facts import told
from backend.data.members import Member
from backend.data.pictures import read_picture
from backend.data.taking import Intake, Taker
from backend.data.tasks import Task

SOUND = ("a.jpg", "b.png", "again.jpg", "large.jpg")


def rows(taken):
    """What can be compared of each sound picture: place, digest, size, kind, facts."""
    facts = told(taken.measures, taken.kinds)
    digests = [taken.digests[at : at + 32].hex() for at in range(0, len(taken.digests), 32)]
    columns = (taken.places.tolist(), digests, taken.sizes.tolist(), taken.kinds, facts)
    return list(zip(*columns, strict=True))


def test_sound_pictures_are_packed_each_once(take, contents, tmp_path):
    taken = take(contents)
    names = [list(contents)[place] for place in taken.places]
    assert names == list(SOUND)
    for name, path, (_, digest, _, kind, _) in zip(names, taken.paths, rows(taken), strict=True):
        assert read_picture(tmp_path, path) == contents[name]
        assert digest == hashlib.sha256(contents[name]).hexdigest()
        assert kind == ("PNG" if name == "b.png" else "JPEG", "RGB")
    assert [place for place, _ in taken.problems] == [2, 4]
    assert "empty" in taken.problems[1][1]
    assert taken.paths[0] == taken.paths[2]
    assert taken.sizes[3].tolist() == [620, 300]
    stored = {contents[name] for name in SOUND}
    assert (tmp_path / "images" / "00007.pack").stat().st_size == sum(len(data) for data in stored)


def test_what_is_stored_already_is_looked_at_but_not_written(take, contents, tmp_path):
    known = frozenset(hashlib.sha256(data).hexdigest() for data in contents.values())
    taken = take(contents, known=known)
    assert list((tmp_path / "images").iterdir()) == []
    assert taken.paths[0] == f"images/{taken.digests[:8].hex()}.jpg"


def test_too_many_pixels_are_refused_in_every_lane(take, contents):
    taken = take(contents, max_pixels=1000)
    assert len(taken.places) == 0
    reasons = dict(taken.problems)
    assert all("pixels" in reasons[place] for place in (0, 1, 2, 3, 5))


def test_columns_of_any_length_tell_the_same(take, contents, monkeypatch):
    together = rows(take(contents))
    monkeypatch.setattr(taking, "PIXELS_TOGETHER", 1)
    monkeypatch.setattr(taking, "LARGE_TOGETHER", 1)
    assert rows(take(contents, number=8)) == together


def test_a_reader_that_can_is_told_what_comes_next(contents, tmp_path, reader_of):
    asked = []

    class Holding(reader_of):
        def hold(self, members):
            asked.append([member.name for member in members])

    (tmp_path / "images").mkdir()
    tasks = [Task(place, Member(name, len(data), None)) for place, (name, data) in enumerate(contents.items())]
    Taker(Intake(10**6), reader=Holding(contents)).take(0, tasks, into=tmp_path)
    assert asked == [list(contents)]
