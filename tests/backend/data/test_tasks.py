"""Columns between processes: tasks come out as they went in, and parts are joined as if they had been one."""

from __future__ import annotations

import pytest

from backend.data.members import Member
from backend.data.taking import Intake, Taker
from backend.data.tasks import Task, joined, packed, unpacked
from backend.data.zip_reader import ZipPlace


class Bytes:
    def __init__(self, contents):
        self._contents = contents

    def read(self, member):
        return self._contents[member.name]


@pytest.fixture
def take(tmp_path):
    def run(contents, *, number=7):
        (tmp_path / "images").mkdir(exist_ok=True)
        taker = Taker(Intake(tmp_path, 10**6), reader=Bytes(contents))
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


def rows(taken):
    """What can be compared of each sound picture."""
    digests = [taken.digests[at : at + 32] for at in range(0, len(taken.digests), 32)]
    measures = [tuple(map(bytes, row)) for row in zip(*taken.measures, strict=True)]
    return list(zip(taken.places.tolist(), digests, taken.sizes.tolist(), taken.kinds, measures, strict=True))


def test_parts_are_joined_in_the_order_of_their_places(take, contents):
    whole = take(contents)
    names = list(contents)
    later = take({name: contents[name] for name in names[3:]}, number=1)
    earlier = take({name: contents[name] for name in names[:3]}, number=2)
    moved = later._replace(places=later.places + 3, problems=[(place + 3, why) for place, why in later.problems])
    both = joined([moved, earlier])
    assert rows(both) == rows(whole)
    assert both.problems == whole.problems
    assert both.paths != whole.paths  # they lie in other packs
    assert joined([]).paths == []


def test_tasks_come_out_as_they_went_in(contents):
    members = [Member(name, len(data), ZipPlace(7, 8, 0, 2**32 - 1)) for name, data in contents.items()]
    tasks = [Task(place, member) for place, member in enumerate(members)]
    assert unpacked(packed(tasks)) == tasks
    others = [Task(place, member._replace(handle=f"file {place}"), b"x") for place, member in enumerate(members)]
    assert unpacked(packed(others)) == others
