"""Files that are whole or absent: atomic writes of a file and of a folder, new ids, free space.

It does not know what the files mean. A reader never sees half a file: everything is written beside its place,
flushed to the disk and renamed. A power cut leaves at most a `.tmp-*` entry, which `remove_leftovers` clears.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.errors import ConflictError, DiskFullError, UnavailableError
from backend.storage.flush import flush_file, flush_folder, flush_tree

TEMPORARY_PREFIX = ".tmp-"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# safetensors and Rust at large; SQLite; torch.save, whose writer says only that writing failed, in three ways
FULL_WORDS = (
    "No space left on device",
    "database or disk is full",
    "PytorchStreamWriter failed writing",
    "iostream error",
    "unexpected pos",
)


def new_id(prefix: str) -> str:
    """Return `<prefix>-` and ten random hexadecimal digits: 2^40 of them, so a clash is not a practical event."""
    return f"{prefix}-{secrets.token_hex(5)}"


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write a file that other processes see whole or not at all; an old file of that name is replaced.

    Text is written as UTF-8. Missing parent folders are made.
    """
    content = data.encode("utf-8") if isinstance(data, str) else data
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a name beside `path` to write to; it becomes `path` at the end, or vanishes where the block raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        yield temporary
        flush_file(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    flush_folder(path.parent)


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target`; it becomes `target` at the end, or vanishes where the block raises.

    Raises:
        ConflictError: `target` exists already; nothing was changed.
    """
    if target.exists():
        raise ConflictError(f"The folder '{target.name}' exists already; choose another name or remove it first.")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(target)
    temporary.mkdir()
    try:
        yield temporary
        flush_tree(temporary)
        _take_place(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    flush_folder(target.parent)


@contextmanager
def merged_directory(target: Path, *, order: Callable[[str], int]) -> Iterator[Path]:
    """Yield an empty folder beside `target`, whose files take their places in `target` at the end.

    Where `target` is not there yet it appears whole. Else each file does, by one rename, those of a lower `order` (of
    their relative path) first. Where the block raises, nothing changes.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(target)
    temporary.mkdir()
    try:
        yield temporary
        flush_tree(temporary)
        if target.exists() or not _taken_place(temporary, target):
            _move_in(temporary, target, order)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    flush_folder(target.parent)


@contextmanager
def staged_directory(parent: Path) -> Iterator[Path]:
    """Yield an empty hidden folder in `parent`; what `put_in_place` has not moved elsewhere vanishes at the end."""
    parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(parent / "staged")
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_in_place(staged: Path, target: Path) -> None:
    """Give a flushed folder its place by one rename.

    Raises:
        ConflictError: another process was first.
    """
    _take_place(staged, target)
    flush_folder(target.parent)


def free_bytes(path: Path) -> int:
    """Return the free bytes of the disk that holds `path`, or will hold it (the nearest folder that exists)."""
    place = path.resolve()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, says that the disk or the user's share of it is full.

    SQLite, torch and safetensors say so in words of their own.
    """
    while error is not None:
        if isinstance(error, DiskFullError) or getattr(error, "errno", None) in FULL:
            return True
        if isinstance(error, Exception) and any(words in str(error) for words in FULL_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def check_writable(folder: Path) -> None:
    """Write and remove a file in `folder`, which is made where it is missing.

    Raises:
        UnavailableError: that does not work.
    """
    probe = _beside(folder / "probe")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"1")
        probe.unlink()
    except OSError as error:
        raise UnavailableError(f"The data folder cannot be written to: {error.strerror or error}.") from error


def remove_tree(folder: Path) -> None:
    """Remove a folder so that readers see it whole or gone: it is renamed first, then deleted.

    Of two processes that remove the same one, one renames it and the other finds nothing left to do.
    """
    doomed = _beside(folder)
    try:
        folder.rename(doomed)
    except FileNotFoundError:
        return
    shutil.rmtree(doomed, ignore_errors=True)


def remove_leftovers(folder: Path, *, older_than_s: float = 86_400.0) -> int:
    """Delete what interrupted writes left in `folder`; returns how many entries went.

    A day is longer than any write takes, so that a write of another process is never touched. It may well end, and its
    entry be gone, between being listed here and being looked at.
    """
    removed = 0
    for entry in folder.glob(f"{TEMPORARY_PREFIX}*"):
        status = status_of(entry)
        if status is None or time.time() - status.st_mtime < older_than_s:
            continue
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
        removed += 1
    return removed


def remove_unfinished(target: Path) -> None:
    """Delete what killed processes left of a folder that they were writing; for whoever alone may write it now."""
    for dead in target.parent.glob(f"{TEMPORARY_PREFIX}*-{target.name[:100]}"):
        shutil.rmtree(dead, ignore_errors=True)


def status_of(path: Path) -> os.stat_result | None:
    """Size and times of a file; None where there is none, asked in one step, since another process may remove it."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _beside(path: Path) -> Path:
    """A fresh hidden name on the same disk, so that the rename is atomic."""
    return path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(5)}-{path.name[:100]}")


def _take_place(temporary: Path, target: Path) -> None:
    try:
        temporary.rename(target)
    except OSError as error:  # another process was first: rename onto a folder that is not empty
        if target.exists():
            raise ConflictError(f"The folder '{target.name}' was made by another process meanwhile.") from error
        raise


def _taken_place(temporary: Path, target: Path) -> bool:
    try:
        _take_place(temporary, target)
    except ConflictError:  # another process brings the same files
        return False
    return True


def _move_in(temporary: Path, target: Path, order: Callable[[str], int]) -> None:
    paths = [Path(root, name).relative_to(temporary) for root, _, names in os.walk(temporary) for name in names]
    folders = {(target / path).parent for path in paths}
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(paths, key=lambda path: (order(path.as_posix()), path)):
        (temporary / path).replace(target / path)
    for folder in folders:
        flush_folder(folder)
