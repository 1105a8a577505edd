"""A hostile TAR or TAR.GZ in, safe members out: the same rules as for a ZIP, whose directory a TAR does not have.

The headers are read here and not by `tarfile`, whose versions in use follow negative sizes for ever and read names of
any length into memory. What is packed with gzip is unpacked as a stream, with the bytes counted, and never rewound
more often than somebody asks for an earlier member.
"""

from __future__ import annotations

import gzip
import io
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from backend.contracts import SkippedFile
from backend.data.archive_safety import MIB, ArchiveLimits, refuse_bomb, refuse_unsafe_name, too_many
from backend.data.members import Member, Reader, clean_path, is_litter, why_not_member
from backend.data.names import shown
from backend.data.tar_headers import BLOCK, FILE_TYPES, FOLDER_TYPE, LINK_TYPES, TarError, TarHeader, read_headers
from backend.errors import ArchiveError, TooLargeError

GZIP_MAGIC = b"\x1f\x8b"
STREAM_ERRORS = (OSError, EOFError, zlib.error, ValueError, OverflowError)
SKIP_PIECE = MIB


class TarPlace(NamedTuple):
    """Where a member's bytes begin in the unpacked stream."""

    offset: int


class TarReader:
    """Reads by `TarPlace` from a TAR that is not packed; as `ZipReader` otherwise."""

    def __init__(self, source: Path | BinaryIO) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None

    def read(self, member: Member) -> bytes:
        """Return the member's bytes.

        Raises:
            ArchiveError: the archive ends before they do.
        """
        try:
            with self._lock:
                if self._file is None:
                    self._file = self._source.open("rb") if isinstance(self._source, Path) else self._source
                self._file.seek(member.handle.offset)
                data = self._file.read(member.size)
        except STREAM_ERRORS as error:
            raise ArchiveError(f"'{shown(member.name)}' cannot be read: {error}.") from error
        return _whole(data, member)

    def close(self) -> None:
        if isinstance(self._source, Path) and self._file is not None:
            self._file.close()
        self._file = None

    def __getstate__(self) -> Path:
        if not isinstance(self._source, Path):
            raise TypeError("Only a reader with a path can be sent to another process.")
        return self._source

    def __setstate__(self, source: Path) -> None:
        self.__init__(source)  # type: ignore[misc]


class GzipTarReader:
    """Reads by `TarPlace` from a packed TAR: forwards from member to member; an earlier one costs a new beginning."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._stream: gzip.GzipFile | None = None
        self._at = 0

    def read(self, member: Member) -> bytes:
        """Return the member's bytes.

        Raises:
            ArchiveError: the packed stream is damaged.
        """
        with self._lock:
            try:
                self._go_to(member.handle.offset)
                assert self._stream is not None  # noqa: S101 -- for the type checker
                data = self._stream.read(member.size)
                self._at += len(data)
            except STREAM_ERRORS as error:
                self._stream = None
                raise ArchiveError(f"'{shown(member.name)}' is damaged in the archive: {error}.") from error
        return _whole(data, member)

    def close(self) -> None:
        self._stream = None

    def _go_to(self, offset: int) -> None:
        if self._stream is None or offset < self._at:
            self._file.seek(0)
            self._stream, self._at = gzip.GzipFile(fileobj=self._file, mode="rb"), 0
        while self._at < offset:
            skipped = self._stream.read(min(SKIP_PIECE, offset - self._at))
            if not skipped:
                raise EOFError("the archive ends too early")
            self._at += len(skipped)


class TarArchive:
    """An opened TAR: `members` are safe to read, `skipped` says what was left out and why."""

    def __init__(self, file: BinaryIO, *, limits: ArchiveLimits, size: int) -> None:
        self._resources = ExitStack()
        self._limits = limits
        self._size = size
        packed = _starts_with_gzip(file)
        self._reader: TarReader | GzipTarReader = GzipTarReader(file) if packed else TarReader(file)
        self.members, self.skipped = self._sort_out(_Counted(file, packed=packed, size=size, limits=limits))
        self._shared: TarReader | None = None
        self._packed = packed

    @property
    def shared_reader(self) -> Reader | None:
        return self._shared

    def own(self, path: Path, resources: ExitStack) -> None:
        """Close `resources` at the end; other processes may read the file at `path`, where it is not packed."""
        self._resources = resources
        self._shared = None if self._packed else TarReader(path)

    def read(self, member: Member) -> bytes:
        """Return the member's bytes; members are best read in their order.

        Raises:
            ArchiveError: the member is damaged.
        """
        return self._reader.read(member)

    def close(self) -> None:
        self._reader.close()
        if self._shared is not None:  # threads of this process may have read by it
            self._shared.close()
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _sort_out(self, stream: _Counted) -> tuple[tuple[Member, ...], tuple[SkippedFile, ...]]:
        members: list[Member] = []
        skipped: list[SkippedFile] = []
        seen: set[str] = set()
        for header in self._headers(stream):
            name = clean_path(header.name)
            if is_litter(name):
                continue
            member = Member(name=name, size=header.size, handle=TarPlace(header.offset))
            reason = self._why_skip(header, member, seen)
            seen.add(header.name)
            if reason:
                skipped.append(SkippedFile(file=shown(name), reason=reason))
            else:
                members.append(member)
        if not seen:
            raise ArchiveError("The TAR archive holds no files. Send one folder of images for each class.")
        return tuple(members), tuple(skipped)

    def _headers(self, stream: _Counted) -> Iterator[TarHeader]:
        """Every file's header; whatever is not safe ends it."""
        count = unpacked = 0
        try:
            for header in read_headers(stream):
                refuse_unsafe_name(header.name)
                if header.kind == FOLDER_TYPE:
                    continue
                _refuse_special(header)
                count, unpacked = count + 1, unpacked + header.size
                if count > self._limits.max_files:
                    raise TooLargeError(too_many(count, self._limits))
                refuse_bomb(unpacked, size=self._size, limits=self._limits)
                yield header
        except (TarError, *STREAM_ERRORS) as error:
            raise ArchiveError(
                f"The TAR archive is damaged or truncated ({error}). "
                "Make it again, or upload it again if the transfer broke off."
            ) from error

    def _why_skip(self, header: TarHeader, member: Member, seen: set[str]) -> str | None:
        if header.name in seen:
            return "another file of the same name came first"
        if header.kind not in FILE_TYPES:
            return f"an entry of type '{shown(header.kind)}' is not read here; pack the files as they are"
        return why_not_member(member, max_bytes=self._limits.max_member_bytes)


class _Counted:
    """The unpacked stream from its start, skipping as well as reading; too many unpacked bytes end it."""

    def __init__(self, file: BinaryIO, *, packed: bool, size: int, limits: ArchiveLimits) -> None:
        file.seek(0)
        self._file = file
        self._stream: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=file, mode="rb") if packed else file
        self._packed = packed
        self._size = size
        self._limits = limits
        self.position = 0

    def read(self, count: int) -> bytes:
        data = self._stream.read(count)
        self._advance(len(data))
        return data

    def skip(self, count: int) -> None:
        """Go on by `count` bytes, all of which must be there."""
        if not self._packed:
            if self.position + count > self._size:
                raise EOFError("the archive ends within a file")
            self._file.seek(count, io.SEEK_CUR)
            self.position += count
            return
        while count > 0:
            data = self.read(min(SKIP_PIECE, count))
            if not data:
                raise EOFError("the archive ends within a file")
            count -= len(data)

    def _advance(self, count: int) -> None:
        self.position += count
        if self._packed:
            refuse_bomb(self.position, size=self._size, limits=self._limits)


def is_tar(file: BinaryIO) -> bool:
    """Whether a file begins as a TAR does, packed with gzip or not."""
    file.seek(0)
    first = file.read(BLOCK)
    if first.startswith(GZIP_MAGIC):
        file.seek(0)
        try:
            first = gzip.GzipFile(fileobj=file, mode="rb").read(BLOCK)
        except STREAM_ERRORS:
            return False
        finally:
            file.seek(0)
    file.seek(0)
    return TarHeader.is_one(first)


def _starts_with_gzip(file: BinaryIO) -> bool:
    file.seek(0)
    return file.read(2) == GZIP_MAGIC


def _refuse_special(header: TarHeader) -> None:
    quoted = f"'{shown(header.name)}'"
    if header.kind in LINK_TYPES:
        raise ArchiveError(f"The archive holds a link, {quoted}. Pack the files themselves (tar -h follows links).")
    if header.kind in "346":
        raise ArchiveError(f"The archive holds a device or another special file, {quoted}. Pack only pictures.")


def _whole(data: bytes, member: Member) -> bytes:
    if len(data) != member.size:
        raise ArchiveError(f"'{shown(member.name)}' is damaged in the archive: it ends after {len(data)} bytes.")
    return data
