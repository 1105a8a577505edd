"""Feature rows on the disk, found by the picture that they come from: a folder of small files, each written whole.

Rows are only ever added, in a file of their own that appears by a rename, so two processes may add at once; both may
compute the same row, and either copy will do. A damaged file is dropped, and its rows count as absent. It knows no
networks and no torch.
"""

from __future__ import annotations

import hashlib
import io
import logging
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backend.storage.files import atomic_write

log = logging.getLogger(__name__)

KEY_BYTES = 16
SUFFIX = ".npz"
DAMAGE = (zipfile.BadZipFile, ValueError, EOFError, KeyError, OSError)

Features = npt.NDArray[np.float32]


def picture_key(digest: str) -> bytes:
    """A short name of a picture by its content; 128 bits of a hash, so that a clash is not a practical event."""
    return hashlib.sha256(digest.encode()).digest()[:KEY_BYTES]


class FeatureShards:
    """The rows of one network, one way of preparing pictures and one view of them. Not shared between threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._where: dict[bytes, tuple[Path, int]] = {}
        self._read: set[Path] = set()
        self.refresh()

    def refresh(self) -> None:
        """Take in what other processes have added."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            if path not in self._read:
                self._index(path)

    def missing(self, keys: Iterable[bytes]) -> list[bytes]:
        """The pictures without a row, each once, in the order asked."""
        return [key for key in dict.fromkeys(keys) if key not in self._where]

    def add(self, keys: Sequence[bytes], rows: Features) -> None:
        """Write rows [N, D] for N pictures as one new file."""
        names = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), KEY_BYTES)
        content = io.BytesIO()
        np.savez(content, keys=names, rows=np.asarray(rows, dtype=np.float32))
        path = self._folder / f"{hashlib.sha256(names.tobytes()).hexdigest()[:32]}{SUFFIX}"
        atomic_write(path, content.getvalue())
        self._remember(path, names)

    def read(self, keys: Sequence[bytes]) -> Features | None:
        """Rows [N, D] for N pictures; None where one has none, or a file turned out to be damaged (it is gone then)."""
        if self.missing(keys) or not keys:
            return None
        places: dict[Path, list[tuple[int, int]]] = {}
        for place, key in enumerate(keys):
            path, row = self._where[key]
            places.setdefault(path, []).append((place, row))
        out: Features | None = None
        for path, pairs in places.items():
            rows = self._rows(path)
            if rows is None or (out is not None and rows.shape[1] != out.shape[1]):
                self._drop(path)
                return None
            if out is None:
                out = np.empty((len(keys), rows.shape[1]), np.float32)
            target, source = np.array(pairs).T
            out[target] = rows[source]
        return out

    def _rows(self, path: Path) -> Features | None:
        """All rows of a file; its checksum is compared on the way."""
        try:
            # opened here: numpy leaves a file open whose end is missing
            with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
                rows: Features = content["rows"]
                return rows if rows.ndim == 2 and len(rows) == len(content["keys"]) else None
        except DAMAGE:
            return None

    def _index(self, path: Path) -> None:
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
                names = content["keys"]
        except DAMAGE:
            self._drop(path)
            return
        self._remember(path, names)

    def _remember(self, path: Path, names: npt.NDArray[np.uint8]) -> None:
        self._read.add(path)
        self._where.update({name.tobytes(): (path, row) for row, name in enumerate(names)})

    def _drop(self, path: Path) -> None:
        log.warning("damaged features dropped", extra={"file": path.name})
        with suppress(OSError):
            path.unlink(missing_ok=True)
        self._read.discard(path)
        self._where = {key: place for key, place in self._where.items() if place[0] != path}
