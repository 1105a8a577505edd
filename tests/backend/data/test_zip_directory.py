"""The quick way through a plain ZIP's directory: what it reads is what the careful way reads, and it steps back in time."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.data import archive
from backend.data.archive import ArchiveLimits, open_archive
from backend.data.zip_directory import ENTRY, plain_members
from backend.errors import ArchiveError, SightglassError, TooLargeError

PLAIN = ("set/cat/a.jpg", "set/cat/b (2).jpg", "set/dog/c.png", "labels.csv")
ODD = (
    "__MACOSX/set/._a.jpg", "set/.DS_Store", "Thumbs.db", "set/../up.jpg", "../up.jpg", "/root.jpg", "C:/x.jpg",
    "set\\cat.jpg", "set//cat.jpg", "./set.jpg", "set/./x.jpg", "Katze/ä.jpg", "set/ cat/x.jpg", "set/cat /x.jpg",
    "inner.zip", "INNER.TAR.GZ", "set/cat/", "a\tb.jpg", "..", ".", " ", "desktop.ini", "x/icon",
)  # fmt: skip


def packed(names, *, method=zipfile.ZIP_STORED, data=b"x" * 20, comment=b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name in names:
            made.writestr(zipfile.ZipInfo(name), data, compress_type=method)
        made.comment = comment
    return file.getvalue()


def quick(data: bytes, limits: ArchiveLimits | None = None):
    chosen = limits or ArchiveLimits()
    return plain_members(io.BytesIO(data), size=len(data), limits=chosen, most_bytes=2**20)


def outcome(data: bytes):
    """What opening the archive comes to, and what its members hold."""
    try:
        with open_archive(io.BytesIO(data)) as opened:
            return opened.members, opened.skipped, [_read(opened, member) for member in opened.members]
    except SightglassError as error:
        return type(error), error.detail


def _read(opened, member):
    try:
        return opened.read(member)
    except ArchiveError as error:
        return error.detail


def carefully(data: bytes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "plain_members", lambda *_, **__: None)
        return outcome(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_plain_archive_is_read_at_once(method):
    data = packed(PLAIN, method=method)
    assert quick(data) == carefully(data)[0]
    assert outcome(data) == carefully(data)


def test_folders_are_no_members():
    data = packed(["set/", "set/cat/", *PLAIN])
    assert [member.name for member in quick(data)] == list(PLAIN)
    assert outcome(data) == carefully(data)
    assert quick(packed(["set/", "set/cat/"])) is None


@pytest.mark.parametrize("name", ODD)
def test_a_name_that_asks_for_a_decision_is_left_to_the_careful_way(name):
    data = packed([*PLAIN, name])
    assert name == "set/cat/" or quick(data) is None
    assert outcome(data) == carefully(data)


def test_two_of_one_name_are_left_to_the_careful_way():
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = packed([*PLAIN, PLAIN[0]])
    assert quick(data) is None


@settings(deadline=None, max_examples=150)
@given(names=st.lists(st.sampled_from([*PLAIN, *ODD]) | st.text("ab./ _-:", min_size=1, max_size=12), unique=True))
def test_both_ways_come_to_the_same(names):
    data = packed(names)
    assert outcome(data) == carefully(data)


@settings(deadline=None, max_examples=300)
@given(place=st.integers(0, 10**6), value=st.integers(0, 255), cut=st.integers(0, 40))
def test_both_ways_come_to_the_same_on_damaged_directories(place, value, cut):
    data = bytearray(packed(PLAIN, method=zipfile.ZIP_DEFLATED))
    start = data.index(b"PK\x01\x02")
    data[start + place % (len(data) - start)] = value
    damaged = bytes(data[: len(data) - cut if cut < 4 else len(data)])
    found, careful = outcome(damaged), carefully(damaged)
    if found != careful:  # zipfile also refuses for what nobody uses; it never reads anything else
        assert isinstance(careful[0], type)
        assert found == outcome(packed(PLAIN, method=zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize(
    ("field", "value"),
    [("flags", 1), ("flags", 0x2000), ("method", 12), ("size", 0xFFFFFFFF), ("offset", 0xFFFFFFFF), ("disk", 1),
     ("external", 0o120777 << 16), ("external", 0o020666 << 16), ("needed", 99), ("size", 2**30)],
)  # fmt: skip
def test_an_unusual_entry_is_left_to_the_careful_way(field, value):
    data = bytearray(packed(PLAIN))
    at = data.index(b"PK\x01\x02") + ENTRY.fields[field][1]
    kind = {2: "<H", 4: "<I"}[ENTRY.fields[field][0].itemsize]
    data[at : at + struct.calcsize(kind)] = struct.pack(kind, value)
    assert quick(bytes(data)) is None


def test_what_stands_around_the_archive_is_left_to_the_careful_way():
    assert quick(packed(PLAIN, comment=b"made by hand")) is None
    assert quick(b"#!/bin/sh\n" + packed(PLAIN)) is None
    assert quick(packed(PLAIN) + b"\n") is None
    assert quick(b"PK") is None
    assert outcome(packed(PLAIN, comment=b"made by hand"))[0] == quick(packed(PLAIN))


def test_limits_are_kept():
    data = packed(PLAIN)
    for limits in (ArchiveLimits(max_files=3), ArchiveLimits(max_member_bytes=19)):
        assert quick(data, limits) is None
    with pytest.raises(TooLargeError):
        open_archive(io.BytesIO(data), limits=ArchiveLimits(max_files=3))
    bomb = packed(PLAIN, method=zipfile.ZIP_DEFLATED, data=bytes(2**20))
    assert quick(bomb) is None
    with pytest.raises(ArchiveError, match="bomb"):
        open_archive(io.BytesIO(bomb))
    assert plain_members(io.BytesIO(data), size=len(data), limits=ArchiveLimits(), most_bytes=99) is None
