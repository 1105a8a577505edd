"""One at a time opens a store that is a file: whoever finds it empty lays its tables, and two at once both fail.

MLflow looks whether there are tables and then makes them; of two trainings that began together on a new data folder,
one met the other's columns ("duplicate column name") and was not recorded. It does not know what is opened.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from backend.storage.locks import try_lock

LOCK = ".mlflow-opening"
# Laying some fifty tables takes 4 s alone and 16 s on two busy cores; a drive may also know no locks.
WAIT_S = 60.0
PAUSE_S = 0.1
_within = threading.Lock()


@contextmanager
def opening(folder: Path) -> Iterator[None]:
    """Keep all others, in this process and in others that use this folder, from opening meanwhile.

    Who waits longer than any opening takes goes on all the same.
    """
    with _within:
        folder.mkdir(parents=True, exist_ok=True)
        held = _held(folder / LOCK)
        try:
            yield
        finally:
            if held is not None:
                held.close()


def _held(path: Path) -> IO[bytes] | None:
    until = time.monotonic() + WAIT_S
    while (held := try_lock(path)) is None and time.monotonic() < until:
        time.sleep(PAUSE_S)
    return held
