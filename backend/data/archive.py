"""A hostile ZIP or TAR in, safe members out. It knows nothing of images or labels, and writes nothing to the disk.

What can be dangerous is refused when the archive is opened, from the directory of the ZIP alone: names that leave the
folder, symbolic links, encryption, too many files, bombs. After that a member can only be damaged, which costs that
member. Bytes are counted twice: as declared, against the size of the archive, and as read, against what was declared.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from backend.contracts import SkippedFile
from backend.data.archive_safety import MIB, ArchiveLimits, decoded_name, is_folder, refuse_unsafe, too_many
from backend.data.collecting import no_collection
from backend.data.members import Member, Reader, clean_path, is_litter, why_not_member
from backend.data.names import shown
from backend.data.tar_archive import TarArchive, is_tar
from backend.data.zip_directory import plain_members
from backend.data.zip_reader import ZipPlace, ZipReader
from backend.errors import ArchiveError, TooLargeError

__all__ = ["Archive", "ArchiveLimits", "open_archive"]

ENTRY_SIGNATURE = b"PK\x01\x02"
# Generous mean of one directory entry: 46 bytes, a name and extra fields. Names may be 64 KiB each, so without this
# limit an archive of 2 GiB could be all directory, and zipfile reads the directory at once.
DIRECTORY_BYTES_PER_FILE = 512
# bzip2 and LZMA are left out: zipfile unpacks their blocks unbounded, so 64 KiB could become gigabytes in memory.
SAFE_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})

KNOWN_SIGNATURES = {
    b"Rar!\x1a\x07": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"\x1f\x8b": "a gzip file without a TAR archive inside, or a damaged one",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF document",
}
READ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,  # negative offsets, and names that are not the UTF-8 they claim to be
    RuntimeError,  # also NotImplementedError
    OverflowError,
)


class Archive:
    """An opened ZIP: `members` are safe to read, `skipped` says what was left out and why."""

    def __init__(self, members: tuple[Member, ...], skipped: tuple[SkippedFile, ...], *, reader: ZipReader) -> None:
        self.members = members
        self.skipped = skipped
        self._reader = reader

    @property
    def shared_reader(self) -> Reader | None:
        return self._reader if self._reader.has_path else None

    def read(self, member: Member) -> bytes:
        """Return the member's bytes, never more than it declared.

        Raises:
            ArchiveError: the member is damaged, or holds more than it declared.
        """
        return self._reader.read(member)

    def hold(self, members: Sequence[Member]) -> None:
        """As `ZipReader.hold`."""
        self._reader.hold(members)

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_archive(source: Path | BinaryIO, *, limits: ArchiveLimits | None = None) -> Archive | TarArchive:
    """Open a ZIP, a TAR or a TAR.GZ, told by its first bytes, and check all its entries.

    A file object stays the caller's to close.

    Raises:
        ArchiveError: neither, empty, truncated, encrypted, or with members that are not safe.
        TooLargeError: more files than the limits allow.
    """
    chosen = limits or ArchiveLimits()
    with ExitStack() as stack:
        file = stack.enter_context(_open_path(source)) if isinstance(source, Path) else source
        size = _size(file)
        if is_tar(file):
            archive = TarArchive(file, limits=chosen, size=size)
            if isinstance(source, Path):
                archive.own(source, stack.pop_all())
            return archive
        return _zip_archive(source, file, size=size, limits=chosen)


def _zip_archive(source: Path | BinaryIO, file: BinaryIO, *, size: int, limits: ArchiveLimits) -> Archive:
    with no_collection():
        plain = plain_members(file, size=size, limits=limits, most_bytes=_most_directory_bytes(limits))
        if plain is not None:
            return Archive(plain, (), reader=ZipReader(source))
        file.seek(0)
        with _open_zip(file, size=size, limits=limits) as zip_file:
            entries = zip_file.infolist()
        refuse_unsafe(entries, size=size, limits=limits)
        return Archive(*_sort_out(entries, limits), reader=ZipReader(source))


def _most_directory_bytes(limits: ArchiveLimits) -> int:
    return max(MIB, limits.max_files * DIRECTORY_BYTES_PER_FILE)


def _open_path(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ArchiveError(
            f"'{path}' cannot be opened: {error.strerror or error}. Give the path of a ZIP or TAR file."
        ) from error


def _size(file: BinaryIO) -> int:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size == 0:
        raise ArchiveError("The file is empty (0 bytes). Send a ZIP or TAR archive with one folder of images a class.")
    return size


class _DirectoryGuard:
    """A file whose reads are bounded while `listing`: zipfile takes the whole directory of an archive in one read."""

    def __init__(self, file: BinaryIO, limits: ArchiveLimits) -> None:
        self._file = file
        self._limits = limits
        self._most = _most_directory_bytes(limits)
        self.listing = True

    def read(self, count: int = -1) -> bytes:
        if not self.listing:
            return self._file.read(count)
        data = self._file.read(self._most + 1 if count < 0 or count > self._most else count)
        if len(data) > self._most:
            raise TooLargeError(
                f"The directory of the archive takes more than {self._most // MIB} MiB. "
                f"An archive may hold {self._limits.max_files} files; use shorter names or several archives."
            )
        entries = data.count(ENTRY_SIGNATURE)
        if entries > self._limits.max_files:
            raise TooLargeError(too_many(entries, self._limits))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _open_zip(file: BinaryIO, *, size: int, limits: ArchiveLimits) -> zipfile.ZipFile:
    start = file.read(8)
    guard = _DirectoryGuard(file, limits)
    try:
        zip_file = zipfile.ZipFile(guard)
    except READ_ERRORS as error:
        raise ArchiveError(_why_not_zip(start, size=size, error=error)) from error
    guard.listing = False
    return zip_file


def _why_not_zip(start: bytes, *, size: int, error: Exception) -> str:
    if start.startswith((b"PK\x03\x04", b"PK\x01\x02")):
        return (
            f"The ZIP archive is damaged or truncated after {size} bytes ({_cause(error)}). "
            "Make it again, or upload it again if the transfer broke off."
        )
    for signature, kind in KNOWN_SIGNATURES.items():
        if start.startswith(signature):
            return f"The file is {kind}, not a ZIP archive. Pack the folders of images as ZIP or TAR.GZ and send that."
    return (
        f"The file is not a ZIP archive ({_cause(error)}), nor a TAR. "
        "Send an archive with one folder of images for each class."
    )


def _sort_out(
    entries: Iterable[zipfile.ZipInfo], limits: ArchiveLimits
) -> tuple[tuple[Member, ...], tuple[SkippedFile, ...]]:
    members: list[Member] = []
    skipped: list[SkippedFile] = []
    seen: set[str] = set()
    for entry in entries:
        raw = decoded_name(entry)
        name = clean_path(raw)
        if is_folder(entry) or is_litter(name):
            continue
        place = ZipPlace(entry.header_offset, entry.compress_size, entry.compress_type, entry.CRC)
        member = Member(name=name, size=entry.file_size, handle=place)
        reason = "another file of the same name came first" if raw in seen else _why_skip(entry, member, limits)
        seen.add(raw)
        if reason:
            skipped.append(SkippedFile(file=shown(name), reason=reason))
        else:
            members.append(member)
    return tuple(members), tuple(skipped)


def _why_skip(entry: zipfile.ZipInfo, member: Member, limits: ArchiveLimits) -> str | None:
    if entry.compress_type not in SAFE_METHODS:
        return f"compression method {entry.compress_type} is not read here; pack with the usual 'deflate'"
    return why_not_member(member, max_bytes=limits.max_member_bytes)


def _cause(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
