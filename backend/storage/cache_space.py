"""Keeps a folder of things that can be computed again under a limit: what was used longest ago goes first.

An entry is whatever lies two levels down, a file or a folder, `decoded/<hash>.npy`. It does not know what entries mean:
who reads one says so with `mark_used`, and makes it anew where it is gone.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backend.storage.files import TEMPORARY_PREFIX, remove_leftovers

log = logging.getLogger(__name__)

# Whatever was opened this lately is probably being used, here or in another process, and stays over the limit too.
SPARED_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    size: int
    used: float


def mark_used(path: Path) -> None:
    """Note that an entry was read now."""
    with suppress(OSError):  # gone, or a read-only disk: then nothing is pruned either
        os.utime(path)


def prune(cache_dir: Path, *, limit_mb: int, spared_s: float = SPARED_S) -> int:
    """Delete the entries used longest ago until the rest takes `limit_mb` MiB; returns how many bytes went.

    A cache that cannot be looked through (another user's files, a share that went away) is left as it is: whoever
    keeps house here has just computed something, and loses it to no lack of order.
    """
    try:
        entries = sorted(_entries(cache_dir), key=lambda entry: entry.used)
    except OSError as error:
        log.warning("cache not pruned", extra={"reason": str(error)})
        return 0
    excess = sum(entry.size for entry in entries) - limit_mb * 2**20
    removed = 0
    for entry in entries:
        if removed >= excess or time.time() - entry.used < spared_s:
            break
        if _delete(entry.path):
            removed += entry.size
    if removed:
        log.info("cache pruned", extra={"removed_mb": removed // 2**20, "limit_mb": limit_mb})
    return removed


def _entries(cache_dir: Path) -> Iterator[_Entry]:
    for kind in cache_dir.glob("*/"):
        remove_leftovers(kind)
        for path in kind.iterdir():
            if not path.name.startswith(TEMPORARY_PREFIX):
                with suppress(FileNotFoundError):  # another process prunes too
                    yield _measure(path)


def _measure(path: Path) -> _Entry:
    own = path.stat()
    if not path.is_dir():
        return _Entry(path, own.st_size, own.st_mtime)
    inside = [below.stat() for below in path.rglob("*") if below.is_file()]
    return _Entry(path, sum(s.st_size for s in inside), max([own.st_mtime, *(s.st_mtime for s in inside)]))


def _delete(path: Path) -> bool:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:  # Windows: somebody has it open
        log.info("cache entry not removed", extra={"entry": path.name, "reason": str(error)})
        return False
    return True
