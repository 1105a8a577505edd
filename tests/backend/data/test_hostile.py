"""Hostile and odd archives, 450 of them a run (and 120 over HTTP, in tests/backend/api): each becomes a dataset or is refused in a sentence.

None leads to another exception, writes outside its folder, or needs more than twice what the limits allow of memory and
disk. What is written of a refused one is gone again.
"""

from __future__ import annotations

import gzip
import io
import os
import random
import re
import resource
import struct
import sys
import tarfile
import warnings
import zipfile
import zlib
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.config import Settings
from backend.data.scan import import_archive
from backend.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore")

MIB = 2**20
# What an import may need under the limits below: pictures of a megapixel, decoded to four bytes a pixel a few times over,
# and archives that unpack to at most 1 MiB or 20 times their size.
LIMITS = Settings(max_image_pixels=10**6, max_unpacked_ratio=20, max_archive_files=400, offline=True)
MEMORY_LIMIT = 64 * MIB
OUTCOMES: Counter[str] = Counter()
CASES = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
STORED = re.compile(
    r"^(dataset\.json|items\.(jsonl|npz)|insights\.json|masks\.csv|images|images/[0-9]{5}\.pack|quality.*)$"
)


@pytest.fixture(autouse=True)
def no_flushing(monkeypatch):
    """A flush takes milliseconds and says nothing here."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def payloads(picture):
    """Contents by name: sound, damaged, and made to hurt."""
    photo = picture(7, size=(60, 40), form="JPEG")
    return {
        "sound 1": picture(1),
        "sound 2": picture(2),
        "sound 3": picture(3, form="GIF"),
        "sound 4": photo,
        "truncated": photo[: len(photo) // 2],
        "garbage after the header": photo[:200] + random.Random(0).randbytes(400),
        "PNG of garbage": b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(300),
        "a million times a million": png_of(10**6, 10**6),
        "just over the limit": png_of(1001, 1000),
        "a bomb within the limit": png_of(1000, 1000, rows=True),
        "no bytes": b"",
        "zeros": bytes(300_000),
        "a table": b"filename,label\n1.png,cat\n2.png,dog\n",
        "masks": b"ImageId,ClassId,EncodedPixels\n1.png,1,1 2\n2.png,2,3 4\n",
        "text": b"hello",
    }


def png_of(width: int, height: int, *, rows: bool = False) -> bytes:
    """A PNG whose header says so; with `rows`, all its pixels are there, packed to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes((3 * width + 1) * height), 9) if rows else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


PLAIN = st.sampled_from(["cat", "dog", "train", "test", "val", "set", "Cat", "é", "e\u0301", "a:b", "con", "images"])
ODD = st.one_of(
    st.sampled_from(
        ["..", ".", "", " ", "~", "C:", "x\x00y", "\u202egnp", "🐈", "__MACOSX", ".git", "x" * 300, "\ud7ff"]
    ),
    st.text(max_size=8),
)
PARTS = st.lists(st.one_of(PLAIN, PLAIN, PLAIN, ODD), min_size=0, max_size=4)
ENDS = st.sampled_from(
    ["1.png", "2.png", "3.PNG", "4.jpg", "5.gif", "labels.csv", "metadata.csv", "train.csv", ".DS_Store", "._1.png",
     "Thumbs.db", "inner.zip", "notes.txt", "no suffix", "x" * 250 + ".png", "1.png/", ""]
)  # fmt: skip
STARTS = st.sampled_from(["", "", "", "", "", "", "/", "\\", "../", "./", "a/" * 150])
NAMES = st.builds(lambda start, parts, end: start + "/".join([*parts, end]), STARTS, PARTS, ENDS)
CONTENTS = st.sampled_from([
    "sound 1", "sound 2", "sound 3", "sound 4", "sound 1", "sound 2", "truncated", "garbage after the header",
    "PNG of garbage", "a million times a million", "just over the limit", "a bomb within the limit", "no bytes", "zeros",
    "a table", "masks", "text",
])  # fmt: skip
MEMBERS = st.lists(st.tuples(NAMES, CONTENTS), max_size=7)
EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=3)
CUTS = st.sampled_from([1.0] * 8 + [0.999, 0.9, 0.4])
# Two sound classes, so that much of what is built gets as far as the pictures.
BASE = [("set/cat/a.png", "sound 1"), ("set/dog/b.png", "sound 2")]


def damaged(data: bytes, edits, cut: float) -> bytes:
    changed = bytearray(data)
    for place, value in edits:
        changed[int(place * len(changed))] = value
    return bytes(changed[: max(1, int(cut * len(changed)))])


def imported_or_refused(archive: bytes, into):
    """The dataset, or the sentence by which it is refused; any other exception fails the test."""
    try:
        return import_archive(io.BytesIO(archive), into=into, name="any", settings=LIMITS)
    except InputError as error:
        return error.detail if error.status < 500 else None


def survives(archive: bytes, folder) -> None:
    """Import it, and look at everything that could have gone wrong."""
    into = folder / "datasets"
    into.mkdir(exist_ok=True)
    before = set(into.iterdir())
    dataset = imported_or_refused(archive, into)
    assert dataset
    assert {path.name for path in folder.iterdir()} == {"datasets"}
    if isinstance(dataset, str):
        OUTCOMES["refused"] += 1
        assert set(into.iterdir()) == before
        return
    OUTCOMES["imported"] += 1
    assert set(into.iterdir()) - before == {dataset.root}
    files = list(dataset.root.rglob("*"))
    assert [path for path in files if not STORED.match(path.relative_to(dataset.root).as_posix())] == []
    pictures = sum(path.stat().st_size for path in files if path.parent.name == "images")
    assert pictures <= 2 * max(MIB, LIMITS.max_unpacked_ratio * len(archive))
    assert len(dataset.items) == dataset.info.total_images > 0
    assert not any(path.is_symlink() for path in files)


def peak() -> int:
    """Most memory that this process ever used, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.fixture(scope="module", autouse=True)
def bounded_memory(payloads, tmp_path_factory):
    """All cases together must not raise the peak by more than twice what one may use."""
    folder = tmp_path_factory.mktemp("warm")
    survives(zipped(BASE, payloads), folder)
    start = peak()
    yield
    assert peak() - start < 2 * MEMORY_LIMIT
    # what is built must be hostile enough to be refused and sound enough to be read, or nothing was tried
    assert min(OUTCOMES["refused"], OUTCOMES["imported"]) > sum(OUTCOMES.values()) / 10, OUTCOMES


# -- ZIP

LIES = st.lists(
    st.tuples(
        st.sampled_from(
            [(8, "H"), (10, "H"), (16, "L"), (20, "L"), (24, "L"), (28, "H"), (30, "H"), (38, "L"), (42, "L")]
        ),
        st.one_of(st.integers(0, 300), st.sampled_from([0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF, 0xA1FF0000, 1, 9, 12, 14])),
        st.integers(0, 8),
    ),
    max_size=2,
)


def zipped(members, payloads, *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in members:
            if name and name[0] != "\x00":
                archive.writestr(name, payloads[content])
    return file.getvalue()


def with_lies(data: bytes, lies) -> bytes:
    """Fields of the directory's entries changed: flags, method, checksum, sizes, lengths of names, mode, offset."""
    changed = bytearray(data)
    entries = [match.start() for match in re.finditer(b"PK\x01\x02", data)]
    for (at, code), value, which in lies:
        if entries:
            size = struct.calcsize(code)
            struct.pack_into(f"<{code}", changed, entries[which % len(entries)] + at, value & (256**size - 1))
    return bytes(changed)


def overlapping(data: bytes, count: int) -> bytes:
    """The first entry of the directory, many times: all of them over the same bytes."""
    start, end = data.index(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    following = data.find(b"PK\x01\x02", start + 4)
    entry = data[start : following if following > 0 else end]
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(entry) * count, start, 0)
    return data[:start] + entry * count + tail


ZIPS = st.fixed_dictionaries(
    {
        "members": MEMBERS,
        "method": st.sampled_from([0, 8, 8, 12, 14]),
        "lies": LIES,
        "repeat": st.sampled_from([0] * 9 + [2, 300, 500]),
        "edits": EDITS,
        "cut": CUTS,
    }
)


@CASES
@given(built=ZIPS)
def test_any_zip_is_survived(payloads, tmp_path_factory, built):
    data = with_lies(zipped([*BASE, *built["members"]], payloads, method=built["method"]), built["lies"])
    repeat = built["repeat"]
    if repeat and b"PK\x01\x02" in data:
        data = overlapping(data, repeat)
    survives(damaged(data, built["edits"], built["cut"]), tmp_path_factory.mktemp("zip"))


# -- TAR

KINDS = st.sampled_from(["0"] * 8 + ["\0", "7", "1", "2", "3", "4", "5", "6", "S", "V", "D", "Z"])
SIZES = st.sampled_from([None] * 10 + [0, 1, 511, 513, 2**20, 8**11 - 1, 2**40, 2**63, -1, -512])


def tarred(members, payloads, *, form: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, content, kind, size in members:
            entry = tarfile.TarInfo(name)
            entry.type = kind.encode()
            entry.linkname = "/etc/passwd" if kind in "12" else ""
            data = payloads[content]
            entry.size = len(data) if kind in "0\x007SVDZ" else 0
            place = file.tell()
            try:
                archive.addfile(entry, io.BytesIO(data) if entry.size else None)
            except (ValueError, UnicodeError):  # a name that this format cannot say
                file.seek(place)
                file.truncate()
                archive.offset = place
                continue
            if size is not None and form != tarfile.PAX_FORMAT:
                lie(file, place, size)
    return file.getvalue()


def lie(file: io.BytesIO, place: int, size: int) -> None:
    """Write another size into a header, with a checksum that fits."""
    view = file.getbuffer()
    field = f"{size:011o}\0".encode() if 0 <= size < 8**11 else b"\x80" + size.to_bytes(11, "big", signed=size < 0)
    if size < 0:
        field = b"\xff" + field[1:]
    view[place + 124 : place + 136] = field
    view[place + 148 : place + 156] = b" " * 8
    view[place + 148 : place + 156] = f"{sum(view[place : place + 512]):06o}\0 ".encode()
    view.release()


TAR_MEMBERS = st.lists(st.tuples(NAMES.filter(lambda name: "\x00" not in name), CONTENTS, KINDS, SIZES), max_size=6)


TARS = st.fixed_dictionaries(
    {
        "members": TAR_MEMBERS,
        "form": st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
        "packed": st.booleans(),
        "edits": EDITS,
        "cut": CUTS,
    }
)


@CASES
@given(built=TARS)
def test_any_tar_is_survived(payloads, tmp_path_factory, built):
    base = [(*pair, "0", None) for pair in BASE]
    data = tarred([*base, *built["members"]], payloads, form=built["form"])
    data = gzip.compress(data, 6) if built["packed"] else data
    survives(damaged(data, built["edits"], built["cut"]), tmp_path_factory.mktemp("tar"))


def test_a_tar_that_unpacks_to_a_gigabyte_is_stopped_on_the_way(tmp_path):
    entry = tarfile.TarInfo("a/1.png")
    entry.size = 2**30
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=9) as packed:
        packed.write(entry.tobuf())
        for _ in range(64):
            packed.write(bytes(MIB))
    start = peak()
    with pytest.raises(InputError, match="bomb"):
        import_archive(io.BytesIO(file.getvalue()), into=tmp_path / "datasets", name="x", settings=LIMITS)
    assert peak() - start < MEMORY_LIMIT


def test_extensions_without_end_are_refused(tmp_path):
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = b"L", 5
    block = entry.tobuf() + b"name\0".ljust(512, b"\0")
    with pytest.raises(InputError, match="extensions"):
        import_archive(io.BytesIO(block * 5000), into=tmp_path / "datasets", name="x", settings=LIMITS)


def test_a_name_of_a_gigabyte_is_refused_unread(tmp_path):
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = b"L", 2**30
    with pytest.raises(InputError, match="extension of"):
        import_archive(io.BytesIO(entry.tobuf() + bytes(1024)), into=tmp_path / "d", name="x", settings=LIMITS)


# -- tables

CELLS = st.one_of(
    st.sampled_from(["1.png", "2.png", "a.png", "set/cat/a.png", "..\\b.png", "gone.png", "cat", "dog", "cat|dog", "a;b",
                     "0", "1", "", "[", '["a"', '"', "'x'", "train", "test", "[" * 3000, "x" * 300, "=1+1", "\x00"]),
    st.text(max_size=6),
)  # fmt: skip
HEADERS = st.lists(
    st.sampled_from(["filename", "file_name", "image", "label", "labels", "Class", "split", "cat", "dog", "", "ImageId",
                     "ClassId", "EncodedPixels", "ImageId_ClassId", "label "]),
    min_size=1, max_size=4,
)  # fmt: skip
ROWS = st.lists(st.lists(CELLS, max_size=5), max_size=8)


TABLES = st.fixed_dictionaries(
    {
        "lines": st.builds(lambda header, rows: [header, *rows], HEADERS, ROWS),
        "separator": st.sampled_from([",", ";", "\t", "|", " "]),
        "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1", "utf-32"]),
        "ending": st.sampled_from(["\n", "\r\n", "\r"]),
        "name": st.sampled_from(["labels.csv", "metadata.csv", "train.csv", "LABELS.CSV"]),
        "edits": EDITS,
    }
)


@CASES
@given(built=TABLES)
def test_any_table_is_survived(payloads, tmp_path_factory, built):
    text = built["ending"].join(built["separator"].join(cells) for cells in built["lines"])
    table = text.encode(built["encoding"], errors="replace")
    members = [*BASE, ("1.png", "sound 3"), ("2.png", "sound 4"), (built["name"], "it")]
    data = zipped(members, {**payloads, "it": damaged(table, built["edits"], 1.0) if table else b""})
    survives(data, tmp_path_factory.mktemp("table"))
