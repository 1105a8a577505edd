"""A run's journal in a folder: each page a folder, each note a file that is whole or absent. Knows no networks.

One process at a time holds it, by a lock that the system takes back when the process dies. Notes are numpy archives
without pickled objects: opening one runs no code.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from backend.contracts.journal import Begun, Journal, Note
from backend.errors import ConflictError
from backend.storage.files import TEMPORARY_PREFIX, atomic_write, remove_tree
from backend.storage.locks import try_lock

if TYPE_CHECKING:
    from backend.contracts.journal import Arrays

log = logging.getLogger(__name__)

LAYOUT_VERSION = 1  # raise it when the same notes would mean something else
FOLDER = "journal"
LOCK, HEAD, CLOCK = "lock", "run.json", "clock.json"
# What stands for work done: a finished trial, fold or tried setting, an epoch. A decision alone is none.
PROGRESS = ("trial.npz", "outcome.npz", "loss.npz", "epoch.safetensors")
FACTS, ARRAY = "facts", "array."
TICK_S = 1.0  # what a kill may add to the time budget
LOCK_WAIT_S = 60.0  # the process of a killed worker ends within a second, of one that was cut off after its batch
DAMAGE = (zipfile.BadZipFile, ValueError, EOFError, KeyError, TypeError)


class JournalPage:
    """One page: its notes, and the way to those below."""

    def __init__(self, folder: Path, *, tick: Callable[[], None]) -> None:
        self._folder = folder
        self._tick = tick

    @property
    def folder(self) -> Path:
        return self._folder

    def at(self, name: str) -> Journal:
        return JournalPage(self._folder / file_name(name), tick=self._tick)

    def recall(self, key: str) -> Note | None:
        import numpy as np  # the server starts without it

        path = self._folder / f"{file_name(key)}.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
                arrays = {name.removeprefix(ARRAY): content[name] for name in content.files if name != FACTS}
                return Note(json.loads(str(content[FACTS][()])), arrays)
        except FileNotFoundError:
            return None
        except DAMAGE as error:
            log.warning("damaged note is left aside", extra={"file": path.name, "error": type(error).__name__})
            return None

    def note(self, key: str, facts: Mapping[str, Any], arrays: Arrays | None = None) -> None:
        import numpy as np

        content = io.BytesIO()
        named = {f"{ARRAY}{name}": array for name, array in (arrays or {}).items()}
        np.savez(content, allow_pickle=False, **{FACTS: np.array(json.dumps(dict(facts)))}, **named)
        atomic_write(self._folder / f"{file_name(key)}.npz", content.getvalue())

    def forget(self) -> None:
        remove_tree(self._folder)

    def tick(self) -> None:
        self._tick()

    def begin(self, identity: Mapping[str, Any]) -> Begun:  # noqa: ARG002 - the seam's shape
        raise TypeError("a page does not begin; the journal does")

    def close(self) -> None:
        """The journal is closed, not its pages."""


class FileJournal(JournalPage):
    """The journal of one job. `folder` is the job's own; it is made by `begin`.

    `on_progress` is called by `begin` where the attempt before has written something down, and so came further.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(folder / FOLDER, tick=self._keep_time)
        self._root = folder
        self._clock = clock
        self._on_progress = on_progress
        self._lock: IO[bytes] | None = None
        self._started, self._used, self._kept = clock(), 0.0, float("-inf")
        self._keeping = threading.Lock()

    def begin(self, identity: Mapping[str, Any]) -> Begun:
        self._root.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self._root / LOCK)
        self._clear_leftovers()
        own = {"layout": LAYOUT_VERSION, **identity}
        head = _read(self._root / HEAD)
        attempt = int(head.get("attempt", 0)) + 1
        if head.get("identity") != json.loads(json.dumps(own)):
            self.forget()
            (self._root / CLOCK).unlink(missing_ok=True)
        elif self._came_further():
            self._on_progress()
        atomic_write(self._root / HEAD, json.dumps({"attempt": attempt, "identity": own}, indent=1))
        self._used = float(_read(self._root / CLOCK).get("used_s", 0.0))
        self._started = self._clock()
        return Begun(attempt, self._used)

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def remove(self) -> bool:
        """Remove the job's folder with all that is in it, unless another process is at work there, or was quicker."""
        if self._lock is None and self._root.is_dir():
            try:
                self._lock = try_lock(self._root / LOCK)
            except FileNotFoundError:  # two workers start at once, and both look for what is left over
                return False
            if self._lock is None:
                return False
        remove_tree(self._root)
        self.close()
        return True

    def _keep_time(self) -> None:
        now = self._clock()
        if now - self._kept < TICK_S or not self._keeping.acquire(blocking=False):
            return  # turns that are taken side by side all tick, and one writing of the clock is enough
        try:
            if self._lock is not None:
                self._write_time(now)
        finally:
            self._keeping.release()

    def _write_time(self, now: float) -> None:
        self._kept = now
        # not flushed: a power cut may take the last seconds back, and a flush would stop the training every second
        temporary = self._root / f"{TEMPORARY_PREFIX}{CLOCK}"
        temporary.write_text(json.dumps({"used_s": round(self._used + now - self._started, 3)}), encoding="utf-8")
        temporary.replace(self._root / CLOCK)

    def _came_further(self) -> bool:
        """Whether work was written down after the last attempt had begun."""
        begun = (self._root / HEAD).stat().st_mtime_ns
        written = (entry for pattern in PROGRESS for entry in self._root.rglob(pattern))
        return any(entry.stat().st_mtime_ns > begun for entry in written)

    def _clear_leftovers(self) -> None:
        """What a killed attempt was writing; nobody else writes here while we hold the lock."""
        for entry in self._root.rglob(f"{TEMPORARY_PREFIX}*"):
            if entry.is_dir():
                remove_tree(entry)
            else:
                entry.unlink(missing_ok=True)


def file_name(name: str) -> str:
    """A name that any file system takes, for a name with colons or slashes; different ones stay different."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:80]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _locked(path: Path) -> IO[bytes]:
    deadline = time.monotonic() + LOCK_WAIT_S
    while (file := try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise ConflictError(f"Another process is still at work on '{path.parent.name}'; it is tried again later.")
        time.sleep(0.1)
    return file


def _read(path: Path) -> dict[str, Any]:
    """A small file of plain data; empty where it is not there, or a power cut has left it so."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
