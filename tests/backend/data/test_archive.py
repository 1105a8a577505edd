from __future__ import annotations

import io
import stat
import struct
import tempfile
import tracemalloc
import zipfile
import zlib

import pytest

from backend.config import Settings
from backend.data.archive import ArchiveLimits, open_archive
from backend.errors import ArchiveError, TooLargeError

LIMITS = ArchiveLimits()


def patched(file: io.BytesIO, *, at: int, code: str, value: int) -> io.BytesIO:
    """Change a field of the first entry in the ZIP's directory, `at` bytes behind its signature."""
    data = bytearray(file.getvalue())
    struct.pack_into(f"<{code}", data, data.index(b"PK\x01\x02") + at, value)
    return io.BytesIO(bytes(data))


def link(name: str, kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (kind | 0o777) << 16
    return entry


def refusal(file: io.BytesIO, *, limits: ArchiveLimits = LIMITS) -> str:
    with pytest.raises(ArchiveError) as caught:
        open_archive(file, limits=limits)
    return caught.value.detail


def test_members_come_with_clean_names_and_their_bytes(packed):
    with open_archive(packed({"set/cat/1.JPG": b"one", "set\\dog\\2.png": b"two"}), limits=LIMITS) as archive:
        assert [member.name for member in archive.members] == ["set/cat/1.JPG", "set/dog/2.png"]
        assert [archive.read(member) for member in archive.members] == [b"one", b"two"]
        assert archive.members[0].suffix == ".jpg"


def test_a_path_is_opened_and_closed_by_the_archive(packed, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(packed({"a/1.png": b"x"}).getvalue())
    with open_archive(path, limits=LIMITS) as archive:
        assert archive.read(archive.members[0]) == b"x"
    with pytest.raises(ArchiveError):
        archive.read(archive.members[0])


def test_a_spooled_upload_stays_open_for_its_owner(packed):
    with tempfile.SpooledTemporaryFile(max_size=10) as upload:
        upload.write(packed({"a/1.png": b"x" * 100}).getvalue())
        with open_archive(upload, limits=LIMITS) as archive:
            assert archive.read(archive.members[0]) == b"x" * 100
        assert not upload.closed


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArchiveError, match=r"none\.zip"):
        open_archive(tmp_path / "none.zip", limits=LIMITS)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"hello, this is no archive", "not a ZIP"),
        (b"Rar!\x1a\x07\x00" + b"x" * 100, "RAR"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 100, "PNG image"),
        (b"PK\x03\x04" + b"x" * 100, "truncated"),
        (b"PK\x05\x06" + bytes(18), "no files"),
    ],
)
def test_what_is_no_archive_is_called_by_its_name(data, says):
    assert says in refusal(io.BytesIO(data))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_archive_is_refused_as_such(packed, picture, share):
    data = packed({f"a/{n}.png": picture(n) for n in range(5)}).getvalue()
    assert "truncated" in refusal(io.BytesIO(data[: int(len(data) * share)]))


def test_an_archive_of_folders_alone_holds_no_files(packed):
    assert "no files" in refusal(packed({"cat/": b"", "dog/": b""}))


@pytest.mark.parametrize(
    "name",
    ["../evil.png", "a/../../evil.png", "..\\evil.png", "a\\..\\..\\evil.png", "..", "a/\x01../evil.png"],
)
def test_a_path_that_leaves_the_folder_is_refused(packed, name):
    assert "leads out of its folder" in refusal(packed({"a/1.png": b"x", name: b"x"}))


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "\\windows\\evil.png", "C:\\evil.png", "c:/evil.png", "\\\\host\\share\\1.png"]
)
def test_an_absolute_path_is_refused(packed, name):
    assert "absolute path" in refusal(packed({name: b"x"}))


@pytest.mark.parametrize(("kind", "says"), [(stat.S_IFLNK, "symbolic link"), (stat.S_IFIFO, "special")])
def test_links_and_devices_are_refused(packed, kind, says):
    assert says in refusal(packed([("a/1.png", b"x"), (link("a/2.png", kind), b"/etc/passwd")]))


def test_an_encrypted_archive_is_refused(packed):
    file = patched(packed({"a/1.png": b"x" * 50}), at=8, code="H", value=1)
    assert "password" in refusal(file)


def test_a_bomb_is_refused_by_what_it_declares(packed):
    assert "bomb" in refusal(packed({"a/1.png": bytes(20_000_000)}))


def test_many_members_over_the_same_bytes_are_refused_as_a_bomb(packed):
    """The overlapping bomb of Fifield 2019: small entries that all point at one compressed kernel."""
    data = packed({"a/1.png": bytes(1_000_000)}).getvalue()
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry, count = data[start:end], 400
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(entry) * count, start, 0)
    assert "bomb" in refusal(io.BytesIO(data[:start] + entry * count + tail))


def test_a_bomb_that_declares_little_is_cut_off_while_reading(packed):
    file = patched(packed({"a/1.png": bytes(40_000_000)}), at=24, code="L", value=1000)
    with open_archive(file, limits=LIMITS) as archive:
        tracemalloc.start()
        with pytest.raises(ArchiveError, match="damaged"):
            archive.read(archive.members[0])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2_000_000


def test_a_lying_size_with_a_matching_checksum_is_damaged_as_well(packed):
    file = patched(packed({"a/1.png": bytes(1_000_000)}), at=24, code="L", value=1000)
    file = patched(file, at=16, code="L", value=zlib.crc32(bytes(1000)))
    with open_archive(file, limits=LIMITS) as archive, pytest.raises(ArchiveError, match="declares 1000 bytes"):
        archive.read(archive.members[0])


def test_a_member_that_declares_too_much_is_damaged(packed):
    file = patched(packed({"a/1.png": b"x" * 50}), at=24, code="L", value=5000)
    with open_archive(file, limits=LIMITS) as archive, pytest.raises(ArchiveError, match="damaged"):
        archive.read(archive.members[0])


def test_a_changed_byte_is_found_by_the_checksum(packed):
    data = bytearray(packed({"a/1.png": b"x" * 50}, method=zipfile.ZIP_STORED).getvalue())
    data[data.index(b"xxxx") + 3] = ord("y")
    with open_archive(io.BytesIO(bytes(data)), limits=LIMITS) as archive, pytest.raises(ArchiveError, match="CRC"):
        archive.read(archive.members[0])


def test_too_many_files_are_refused_before_they_are_listed(packed):
    file = packed({f"a/{n}.png": b"" for n in range(11)})
    with pytest.raises(TooLargeError, match=r"at most 10"):
        open_archive(file, limits=ArchiveLimits(max_files=10))


def test_a_huge_directory_is_refused_without_being_read_whole(packed):
    members = [(f"a/{'n' * 60_000}{n}.png", b"") for n in range(40)]
    with pytest.raises(TooLargeError, match="directory"):
        open_archive(packed(members), limits=ArchiveLimits(max_files=100))


def test_a_large_member_can_be_read_where_few_files_are_allowed(packed):
    """The limits on reading the directory must not hold for the members."""
    noise = zlib.compress(b"x") + bytes(range(256)) * 8000 + b"PK\x01\x02" * 50
    with open_archive(
        packed({"a/1.png": noise}, method=zipfile.ZIP_STORED), limits=ArchiveLimits(max_files=2)
    ) as archive:
        assert archive.read(archive.members[0]) == noise


def test_an_archive_inside_the_archive_is_skipped_with_a_reason(packed):
    inner = packed({"cat/1.png": b"x"}).getvalue()
    with open_archive(packed({"a/1.png": b"x", "more.ZIP": inner, "b.tar.gz": b"x"}), limits=LIMITS) as archive:
        assert [member.name for member in archive.members] == ["a/1.png"]
        assert {entry.file for entry in archive.skipped} == {"more.ZIP", "b.tar.gz"}
        assert all("inside the archive" in entry.reason for entry in archive.skipped)


def test_a_method_that_unpacks_without_bounds_is_skipped(packed):
    with open_archive(packed({"a/1.png": b"x" * 50}, method=zipfile.ZIP_BZIP2), limits=LIMITS) as archive:
        assert archive.members == ()
        assert "deflate" in archive.skipped[0].reason


def test_an_oversized_member_is_skipped(packed):
    with open_archive(packed({"a/1.png": b"x" * 50}), limits=ArchiveLimits(max_member_bytes=49)) as archive:
        assert "49 bytes" in archive.skipped[0].reason


@pytest.mark.parametrize(
    "name",
    [
        "__MACOSX/cat/._1.png",
        "cat/._1.png",
        "cat/.DS_Store",
        "cat/Thumbs.db",
        "DESKTOP.INI",
        "cat/@eaDir/1.png/thumb.jpg",
    ],
)
def test_litter_of_operating_systems_is_dropped_without_a_word(packed, name):
    with open_archive(packed({"cat/1.png": b"x", name: b"junk"}), limits=LIMITS) as archive:
        assert [member.name for member in archive.members] == ["cat/1.png"]
        assert archive.skipped == ()


def test_the_second_of_two_members_with_one_name_is_skipped(packed):
    with open_archive(packed([("a/1.png", b"first"), ("a/1.png", b"second")]), limits=LIMITS) as archive:
        assert [archive.read(member) for member in archive.members] == [b"first"]
        assert "same name" in archive.skipped[0].reason


def test_names_that_differ_in_case_are_different_members(packed):
    with open_archive(packed({"a/A.png": b"1", "a/a.png": b"2"}), limits=LIMITS) as archive:
        assert [archive.read(member) for member in archive.members] == [b"1", b"2"]


def test_names_in_utf8_without_the_mark_are_read_as_utf8(packed):
    name = "Äpfel/Übung.png"
    data = packed({name: b"x"}).getvalue()
    data = data.replace(b"\x00\x08", b"\x00\x00")  # the mark in both headers, as some zip tools leave it out
    with open_archive(io.BytesIO(data), limits=LIMITS) as archive:
        assert archive.members[0].name == name


def test_names_in_an_old_code_page_are_read_somehow(packed):
    data = packed({"a__/1.png": b"x"}).getvalue().replace(b"a__/", b"a\x81\x82/")
    with open_archive(io.BytesIO(data), limits=LIMITS) as archive:
        assert archive.members[0].name == "aüé/1.png"
        assert archive.read(archive.members[0]) == b"x"


def test_names_that_claim_to_be_utf8_and_are_not_are_refused(packed):
    data = packed({"Äb/1.png": b"x"}).getvalue().replace("Äb".encode(), b"\xff\xffb")
    assert "damaged" in refusal(io.BytesIO(data))


def test_a_very_long_name_is_a_name_like_any_other(packed):
    with open_archive(packed({f"cat/{'x' * 60_000}.png": b"x"}), limits=LIMITS) as archive:
        assert archive.read(archive.members[0]) == b"x"


def test_limits_come_from_the_settings():
    limits = ArchiveLimits.from_settings(Settings(max_archive_files=7, max_unpacked_ratio=9))
    assert (limits.max_files, limits.max_ratio) == (7, 9)
