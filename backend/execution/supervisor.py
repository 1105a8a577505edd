"""Keeps one child process alive: starts it, starts it again when it dies, stops it at the end.

It does not know what the process does.
"""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Self

logger = logging.getLogger(__name__)

# A process that dies at once (a bad setting) must not eat the machine; one that ran a while restarts quickly.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
CALM_AFTER_S = 30.0
# Longer than an executor takes to end a deaf child.
FAREWELL_S = 8.0


class KeptProcess:
    """A context: the process lives as long as the block runs. `target` must be a top-level function."""

    def __init__(self, target: Callable[..., None], *args: Any, name: str) -> None:
        self._target = target
        self._args = args
        self._name = name
        self._context = multiprocessing.get_context("spawn")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keep-{name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(FAREWELL_S + 2.0)

    def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stop.is_set():
            process = self._context.Process(target=self._target, args=self._args, name=self._name)
            process.start()
            if self._lived_long(process):
                pause_s = FIRST_PAUSE_S
            if not self._stop.is_set():
                logger.warning("process died", extra={"child": self._name, "exit_code": process.exitcode})
                self._stop.wait(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _lived_long(self, process: SpawnProcess) -> bool:
        """Wait for the process's end or the order to stop, which ends it; says whether it ran for a while."""
        lived_s = 0.0
        while process.is_alive():
            if self._stop.wait(0.2):
                process.terminate()
                process.join(FAREWELL_S)
                if process.is_alive():
                    process.kill()
                    process.join()
            lived_s += 0.2
        return lived_s >= CALM_AFTER_S
