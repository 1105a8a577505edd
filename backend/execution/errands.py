"""Small things that others should hear of, done in a process of their own: whoever sends one never waits.

It does not know what is done. Errands that wait are done together by one process, each once; a process that takes too
long is ended, and what it had to do is forgotten: the next errand makes up for it, if its function is made that way.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
from collections.abc import Callable, Sequence

from backend.config import Settings
from backend.execution.child import lower_priority, stay_with_parent
from backend.execution.logs import configure_logging

logger = logging.getLogger(__name__)

Errand = Callable[[Settings, Sequence[str]], None]

# A cold import of a tracking library takes 5 s, 20 s on a busy machine; a store that does not answer up to 60 s.
TIMEOUT_S = 180.0
POLL_S = 0.2


class Errands:
    """Runs a top-level function of (settings, names) for the names that were sent; thread-safe."""

    def __init__(self, function: Errand, settings: Settings, *, timeout_s: float = TIMEOUT_S) -> None:
        self._function = function
        self._settings = settings
        self._timeout_s = timeout_s
        self._context = multiprocessing.get_context("spawn")
        self._lock = threading.Lock()
        self._waiting: dict[str, None] = {}  # ordered, each once
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def send(self, name: str) -> None:
        """Have the function called for a name, soon; returns at once."""
        with self._lock:
            if self._stop.is_set():
                return
            self._waiting[name] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="errands", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the process that is under way; what waits is forgotten."""
        self._stop.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                names, self._waiting = tuple(self._waiting), {}
                if not names or self._stop.is_set():
                    self._thread = None
                    return
            self._do(names)

    def _do(self, names: Sequence[str]) -> None:
        process = self._context.Process(
            target=_work, args=(self._function, self._settings, names), name="sightglass-errand", daemon=True
        )
        process.start()
        waited_s = 0.0
        while process.is_alive() and waited_s < self._timeout_s and not self._stop.is_set():
            process.join(POLL_S)
            waited_s += POLL_S
        if process.is_alive():
            process.terminate()
            process.join(1.0)
        if process.is_alive():
            process.kill()
            process.join()
        if process.exitcode and not self._stop.is_set():
            logger.warning("an errand failed", extra={"names": names, "exit_code": process.exitcode})


def _work(function: Errand, settings: Settings, names: Sequence[str]) -> None:
    stay_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    lower_priority()
    configure_logging(settings.log_level, log_format=settings.log_format)
    function(settings, names)
