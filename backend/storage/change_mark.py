"""Has anybody written to the database since? Asked hundreds of times a second, so that what was read may be kept.

It does not know what changed. SQLite counts the commits of others for each connection (`PRAGMA data_version`, 5 µs);
this one never writes, so all are others. PostgreSQL has no such number: there the answer is that nobody knows.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from backend.storage.database import Database


class ChangeMark:
    """Equal marks: nothing was committed in between. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._path = Path(str(database.url.database)) if database.is_sqlite and database.url.database else None
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def read(self) -> int | None:
        """The mark of this moment; None where there is none, and what was read must be read again."""
        if self._path is None:
            return None
        with self._lock:
            try:
                if self._connection is None:
                    # By its address, and so that it is never made: a file that is missing here is another's to make.
                    address = f"{self._path.resolve().as_uri()}?mode=rw"
                    self._connection = sqlite3.connect(address, uri=True, timeout=0, check_same_thread=False)
                return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
            except sqlite3.Error:  # busy for a moment, or not made yet
                return None

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
