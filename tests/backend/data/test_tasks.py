"""Columns between processes: tasks come out as they went in, and parts are joined as if they had been one."""

from __future__ import annotations

from backend.data.members import Member
from backend.data.tasks import Task, joined, packed, unpacked
from backend.data.zip_reader import ZipPlace


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
