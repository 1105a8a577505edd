"""A folder of the data folder as a working copy of what is stored: its files, and which commits are in it already.

The marks lie in the folder itself, so that they go with it: `.stored/<commit>.gz`, a copy of the commit, says that its
files are here, and `.stored/<commit>.whole` that its images are too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from backend.storage.files import atomic_write, status_of
from backend.storage.packs import LAST_FILES, Commit, encode, is_bulk

MARKS = ".stored"


def lacks(folder: Path, ids: Iterable[str], *, bulk: bool) -> bool:
    return not all(is_marked(folder, one, bulk=bulk) for one in ids)


def is_marked(folder: Path, commit_id: str, *, bulk: bool) -> bool:
    return (folder / MARKS / f"{commit_id}.{'whole' if bulk else 'gz'}").is_file()


def mark(folder: Path, commit: Commit, *, bulk: bool) -> None:
    """Note in the folder that a commit's files are in it; with `bulk`, its images too."""
    atomic_write(folder / MARKS / f"{commit.commit_id}.gz", encode(commit))
    if bulk:
        atomic_write(folder / MARKS / f"{commit.commit_id}.whole", b"")


def order_of(path: str) -> int:
    """Images first, then the rest, then what readers look for, then our own marks."""
    if path.startswith(f"{MARKS}/"):
        return 3
    return 0 if is_bulk(path) else 2 if path.rpartition("/")[2] in LAST_FILES else 1


def files_of(folder: Path) -> list[tuple[str, int]]:
    """All files of a folder with their sizes; hidden ones are ours or half-written."""
    found = []
    for root, below, names in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        place = Path(root)
        for name in names:
            if not name.startswith("."):
                path = place / name
                status = status_of(path)
                if status is not None:  # else it was removed since it was listed
                    found.append((path.relative_to(folder).as_posix(), status.st_size))
    return sorted(found)


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def has(path: Path, size: int) -> bool:
    status = status_of(path)
    return status is not None and status.st_size == size
