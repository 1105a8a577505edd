"""What makes an archive dangerous, told from its directory alone, before a byte is unpacked.

It reads no file: it looks at the entries that `backend.data.archive` hands in, and raises on the first bad one.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

from backend.config import Settings
from backend.data.names import clean_name, shown
from backend.errors import ArchiveError, TooLargeError

MIB = 2**20
# Below this an archive may unpack to any multiple: the ratio of a tiny file says nothing, and the sum is harmless.
RATIO_FREE_BYTES = MIB
UTF8_FLAG, ENCRYPTED_FLAGS = 0x800, 0x1 | 0x40 | 0x2000
# "C:/x" and "C:\\x" are absolute on Windows; a class called "a:b" is only a name, since no name is ever a path here.
DRIVE = re.compile(r"^[A-Za-z]:(/|$)")


@dataclass(frozen=True)
class ArchiveLimits:
    """How much an archive may hold."""

    max_files: int = 500_000
    max_ratio: int = 200
    max_member_bytes: int = 256 * MIB

    @classmethod
    def from_settings(cls, settings: Settings) -> ArchiveLimits:
        return cls(max_files=settings.max_archive_files, max_ratio=settings.max_unpacked_ratio)


def refuse_unsafe(entries: Sequence[zipfile.ZipInfo], *, size: int, limits: ArchiveLimits) -> None:
    """Look through the whole directory of an archive of `size` bytes.

    Raises:
        ArchiveError: no files, encrypted, paths that leave the folder, links, or a bomb.
        TooLargeError: more files than the limits allow.
    """
    if not any(not is_folder(entry) for entry in entries):
        raise ArchiveError("The ZIP archive holds no files. Send one folder of images for each class.")
    if len(entries) > limits.max_files:
        raise TooLargeError(too_many(len(entries), limits))
    for entry in entries:
        _refuse_unsafe_entry(entry)
    refuse_bomb(sum(entry.file_size for entry in entries), size=size, limits=limits)


def _refuse_unsafe_entry(entry: zipfile.ZipInfo) -> None:
    name = decoded_name(entry)
    refuse_unsafe_name(name)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind in {0, stat.S_IFREG, stat.S_IFDIR} and not entry.flag_bits & ENCRYPTED_FLAGS:
        return
    quoted = f"'{shown(name)}'"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        noun = "a symbolic link" if kind == stat.S_IFLNK else "a device or another special file"
        raise ArchiveError(f"The archive holds {noun}, {quoted}. Pack the files themselves (zip -r follows links).")
    raise ArchiveError(f"The archive is encrypted ({quoted} needs a password). Pack it again without a password.")


def refuse_unsafe_name(name: str) -> None:
    """Refuse a member's name that is an absolute path or leads out of the folder.

    Raises:
        ArchiveError: it is one.
    """
    slashed = name.replace("\\", "/")
    if slashed.startswith("/") or DRIVE.match(slashed):
        raise ArchiveError(
            f"The archive holds the absolute path '{shown(name)}'. Pack the folders with relative paths."
        )
    if ".." not in slashed and slashed.isascii() and slashed.isprintable():  # nothing that cleaning would take away
        return
    if any(clean_name(part) == ".." for part in slashed.split("/")):
        raise ArchiveError(
            f"The archive holds '{shown(name)}', which leads out of its folder. Pack it again without '..'."
        )


def refuse_bomb(unpacked: int, *, size: int, limits: ArchiveLimits) -> None:
    """Refuse an archive of `size` bytes that unpacks to too many.

    Raises:
        ArchiveError: it does.
    """
    if unpacked > max(RATIO_FREE_BYTES, size * limits.max_ratio):
        raise ArchiveError(
            f"The archive of {size} bytes declares {unpacked} bytes unpacked, {unpacked // size} times its size; "
            f"at most {limits.max_ratio} times is allowed, as more is the mark of a decompression bomb. "
            "If the files are sound, pack them as PNG or JPEG."
        )


def decoded_name(entry: zipfile.ZipInfo) -> str:
    """The member's name. Without the UTF-8 mark zipfile reads CP437, although macOS and others write UTF-8."""
    if entry.flag_bits & UTF8_FLAG or entry.filename.isascii():
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename


def is_folder(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.endswith(("/", "\\"))


def too_many(count: int, limits: ArchiveLimits) -> str:
    return f"The archive holds {count} files; at most {limits.max_files} are allowed. Send it in several archives."
