"""Uploads that arrive in pieces: what came so far lies on the disk, so that it survives a restart of the service.

    <id>.json   what the upload is         <id>.part   its bytes; their number is the offset
    <id>.lock   held by whoever writes     all three go when nothing came for a while

It does not know what the bytes mean, nor how they travel. Several processes may serve one folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from backend.contracts import RunControl, Upload
from backend.errors import ConflictError, LockedError, NotFoundError, TooLargeError
from backend.storage.files import atomic_write, free_bytes, new_id, status_of
from backend.storage.folders import LOCAL, Folders

CHECKSUMS = ("sha1", "sha256", "md5")
SPARE_BYTES = 64 * 2**20


class UploadStore:
    """The uploads of one folder."""

    def __init__(self, folder: Path, *, expire_h: float, folders: Folders = LOCAL) -> None:
        self._folder = folder
        self._folders = folders
        self._expire = timedelta(hours=expire_h)

    def create(self, length: int, *, filename: str, name: str) -> Upload:
        """Begin an upload of `length` bytes.

        Raises:
            TooLargeError: the disk does not hold them.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self.remove_expired()
        free = free_bytes(self._folder)
        if length + SPARE_BYTES > free:
            raise TooLargeError(
                f"The upload has {length // 2**20} MiB, and the server's disk {free // 2**20} MiB free. "
                "Delete datasets that are no longer needed, or send less."
            )
        upload = Upload(upload_id=new_id("up"), length=length, filename=filename, name=name)
        self.path(upload.upload_id).touch(exist_ok=False)
        self.save(upload)
        return upload

    def take_in(self, file: Path, *, filename: str) -> Upload:
        """Keep what came in one piece, so that a job finds it on whatever machine; the file stays its owner's.

        Raises:
            UnavailableError: as `share`.
        """
        upload = Upload(
            upload_id=new_id("up"), length=file.stat().st_size, filename=filename, name=filename or "pictures"
        )
        target = self.path(upload.upload_id)
        try:
            target.hardlink_to(file)
        except OSError:  # a file system without them
            shutil.copyfile(file, target)
        self.save(upload)
        self.share(upload.upload_id)
        return upload

    def get(self, upload_id: str) -> Upload:
        """One upload.

        Raises:
            NotFoundError: there is none, or it was abandoned too long ago.
        """
        try:
            return Upload.model_validate_json(self._record(upload_id).read_bytes())
        except (FileNotFoundError, ValidationError):
            raise NotFoundError(
                f"There is no upload '{upload_id}': it was removed, or nothing came for "
                f"{self._expire.total_seconds() / 3600:g} hours. Begin a new one with POST /api/cv/uploads."
            ) from None

    def list(self) -> list[Upload]:
        """All uploads, newest first."""
        found = []
        for record in self._folder.glob("up-*.json"):
            with suppress(NotFoundError):  # removed meanwhile
                found.append(self.get(record.stem))
        return sorted(found, key=lambda upload: upload.created_at, reverse=True)

    def save(self, upload: Upload) -> None:
        atomic_write(self._record(upload.upload_id), upload.model_dump_json() + "\n")

    def offset(self, upload: Upload) -> int:
        """How many bytes are there; all, where they were handed on already."""
        try:
            return self.path(upload.upload_id).stat().st_size
        except FileNotFoundError:
            return upload.length if upload.job_id else 0

    def expires_at(self, upload: Upload) -> datetime:
        """When the upload is removed, unless more of it comes."""
        with suppress(FileNotFoundError):
            touched = self.path(upload.upload_id).stat().st_mtime
            return datetime.fromtimestamp(touched, UTC) + self._expire
        return upload.created_at + self._expire

    def path(self, upload_id: str) -> Path:
        """The file of the bytes."""
        return self._folder / f"{upload_id}.part"

    def share(self, upload_id: str) -> None:
        """Let the workers of other machines have the bytes, all of which are there.

        Raises:
            UnavailableError: the object storage does not answer.
        """
        if self._folders is LOCAL:
            return
        shared = self._shared(upload_id)
        shared.parent.mkdir(exist_ok=True)
        if not shared.exists():
            shared.hardlink_to(self.path(upload_id))
        self._folders.publish(shared.parent)

    def bytes_here(self, upload_id: str, *, control: RunControl | None = None) -> Path:
        """The file of the bytes, on whatever machine they came in.

        Raises:
            UnavailableError: as `share`.
        """
        own, shared = self.path(upload_id), self._shared(upload_id)
        if not own.is_file():
            self._folders.fetch(shared.parent, control=control)
        return shared if shared.is_file() else own

    def _shared(self, upload_id: str) -> Path:
        return self._folder / upload_id / "archive"

    @contextmanager
    def writer(self, upload: Upload, *, algorithm: str | None = None) -> Iterator[UploadWriter]:
        """Append to an upload; one at a time, in whatever process.

        Raises:
            LockedError: somebody else does.
            NotFoundError: it was removed since `upload` was read.
            ConflictError: it was complete and handed on since then.
        """
        with self.turn(upload.upload_id), self._opened(upload.upload_id) as file:
            writer = UploadWriter(file, length=upload.length, algorithm=algorithm)
            try:
                yield writer
            finally:
                file.flush()
                os.fsync(file.fileno())

    @contextmanager
    def turn(self, upload_id: str) -> Iterator[None]:
        """Keep all others, in whatever process, from writing to an upload, finishing or removing it meanwhile.

        Raises:
            LockedError: somebody else has the turn.
        """
        with (self._folder / f"{upload_id}.lock").open("ab") as file:
            if not _lock(file):
                raise LockedError(f"Upload '{upload_id}' is being written to; ask with HEAD and try again in a moment.")
            yield

    def _opened(self, upload_id: str) -> BinaryIO:
        """The bytes, never made anew: an empty file would say that a finished upload has none."""
        try:
            return self.path(upload_id).open("r+b")
        except FileNotFoundError:
            self.get(upload_id)
            raise ConflictError(f"Upload '{upload_id}' is complete; a job has its bytes.") from None

    def take_bytes(self, upload_id: str) -> None:
        """Remove the bytes, which were handed on; the record stays for whoever asks what became of them."""
        self.path(upload_id).unlink(missing_ok=True)
        self._unshare(upload_id)

    def remove(self, upload_id: str) -> None:
        """Remove an upload and all of it.

        Raises:
            LockedError: somebody writes to it.
        """
        with self.turn(upload_id):
            self._forget(upload_id)

    def remove_expired(self) -> int:
        """Remove what was abandoned; returns how many uploads went."""
        oldest = time.time() - self._expire.total_seconds()
        removed = 0
        for record in self._folder.glob("up-*.json"):
            upload_id = record.stem
            newest = max((_changed(path) for path in (record, self.path(upload_id))), default=0.0)
            if newest < oldest:
                self._forget(upload_id)
                removed += 1
        return removed

    def _record(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}.json"

    def _forget(self, upload_id: str) -> None:
        for path in (self._record(upload_id), self.path(upload_id), self._folder / f"{upload_id}.lock"):
            path.unlink(missing_ok=True)
        self._unshare(upload_id)

    def _unshare(self, upload_id: str) -> None:
        shared = self._shared(upload_id)
        if shared.exists():
            self._folders.remove(shared.parent)


class UploadWriter:
    """Appends within the promised length, and can take back what it appended."""

    def __init__(self, file: BinaryIO, *, length: int, algorithm: str | None) -> None:
        self._file = file
        self._length = length
        self.start = self.offset = file.seek(0, os.SEEK_END)
        self._hash: Any = hashlib.new(algorithm, usedforsecurity=False) if algorithm else None

    def write(self, data: bytes) -> None:
        """Append.

        Raises:
            TooLargeError: more than was promised; what fitted stays.
        """
        room = self._length - self.offset
        self._file.write(data[:room] if len(data) > room else data)
        self.offset += min(room, len(data))
        if self._hash is not None:
            self._hash.update(data)
        if len(data) > room:
            raise TooLargeError(f"The upload was to have {self._length} bytes, and more were sent.")

    def matches(self, digest: bytes) -> bool:
        """Whether what was appended has this checksum."""
        return bool(self._hash is not None and self._hash.digest() == digest)

    def take_back(self) -> None:
        """Undo all that was appended."""
        self._file.flush()
        self._file.truncate(self.start)
        self.offset = self.start


def _lock(file: BinaryIO) -> bool:
    """Hold the file until it is closed; false where another holds it. The system lets go of it when a process dies."""
    try:
        import fcntl
    except ImportError:  # Windows: one process serves there
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _changed(path: Path) -> float:
    status = status_of(path)
    return 0.0 if status is None else status.st_mtime
