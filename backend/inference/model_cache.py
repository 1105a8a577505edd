"""Loaded models by folder, bounded by memory; the least recently used goes first. It does not know what they answer."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backend.config import Settings
from backend.engine.model_folder import INFO_FILE
from backend.inference.predictor import Predictor
from backend.storage.files import status_of

log = logging.getLogger(__name__)

MIB = 2**20


@dataclass(frozen=True, slots=True)
class _Entry:
    predictor: Predictor
    stamp: tuple[int, ...]


class ModelCache:
    """Gives one `Predictor` for a folder to all who ask. Thread-safe: each model is loaded once, others need not wait.

    A model written anew under the same folder is loaded anew. The model asked for last stays even where it alone is
    larger than the limit, `settings.model_cache_mb`.
    """

    def __init__(self, settings: Settings, *, load: Callable[[Path], Predictor] | None = None) -> None:
        self._load = load or (lambda folder: Predictor.open(folder, settings=settings))
        self._limit = settings.model_cache_mb * MIB
        self._guard = threading.Lock()
        self._entries: OrderedDict[Path, _Entry] = OrderedDict()
        self._loading: dict[Path, threading.Lock] = {}
        # Since the start of the process, for whoever watches it.
        self.loads = 0
        self.evictions = 0
        self._changed: Callable[[], None] = lambda: None

    def get(self, folder: Path) -> Predictor:
        """Return the loaded model.

        Raises:
            NotFoundError: there is no model in this folder.
            InputError: the files are damaged.
        """
        folder = folder.resolve()
        stamp = _stamp(folder)
        with self._guard:
            turn = self._loading.setdefault(folder, threading.Lock())
        with turn:
            found = self._find(folder, stamp)
            return found if found is not None else self._keep(folder, stamp)

    def peek(self, folder: Path) -> Predictor | None:
        """The model where it is loaded and as it lies on the disk; returns at once, and counts as a use."""
        return self._find(folder, _stamp(folder))

    def watch(self, changed: Callable[[], None]) -> None:
        """Have somebody told whenever a model was loaded or dropped, or answers by another backend."""
        self._changed = changed

    def loaded(self) -> list[Predictor]:
        """Everything in memory, the longest unused first."""
        with self._guard:
            return [entry.predictor for entry in self._entries.values()]

    def _tell(self) -> None:
        self._changed()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, folder: Path) -> bool:
        return folder.resolve() in self._entries

    def _find(self, folder: Path, stamp: tuple[int, ...]) -> Predictor | None:
        with self._guard:
            entry = self._entries.get(folder)
            if entry is None or entry.stamp != stamp:
                return None
            self._entries.move_to_end(folder)
            return entry.predictor

    def _keep(self, folder: Path, stamp: tuple[int, ...]) -> Predictor:
        predictor = self._load(folder)
        predictor.watch(self._tell)
        with self._guard:
            self._entries[folder] = _Entry(predictor, stamp)
            self._entries.move_to_end(folder)
            self.loads += 1
            while (
                len(self._entries) > 1 and sum(entry.predictor.size for entry in self._entries.values()) > self._limit
            ):
                dropped, _ = self._entries.popitem(last=False)
                self.evictions += 1
                log.info("model let go", extra={"folder": dropped.name})
        self._changed()
        return predictor


def _stamp(folder: Path) -> tuple[int, ...]:
    """What changes when a model is written anew; empty where nothing is there, which loading then reports."""
    status = status_of(folder / INFO_FILE)
    return () if status is None else (status.st_mtime_ns, status.st_size, status.st_ino)
