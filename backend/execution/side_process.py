"""A process for slow calls that need torch: a heat map, an export. Predictions have one of their own.

It does not know what is computed: functions are handed in. A process that dies is replaced and the call made once
more; a call that kills it twice is answered with an error, and the next caller finds a fresh process.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, ParamSpec, TypeVar

from backend.config import Settings
from backend.errors import UnavailableError
from backend.execution.child import lower_priority, stay_with_parent, warm_quietly
from backend.execution.logs import configure_logging
from backend.execution.native import prepare_native_libraries
from backend.execution.trace import carried

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

# Longer than a cold start with a large network takes (about 20 s on 2 busy cores), shorter than patience.
CALL_TIMEOUT_S = 120.0
# An ONNX file is recorded, written and compared with the model: 10 s on a free machine, minutes on a loaded one, since
# this process yields to all others. It is made once and kept.
PATIENT_TIMEOUT_S = 600.0


class SideProcess:
    """One warm process for `call`; thread-safe. Nothing starts before the first call."""

    def __init__(self, settings: Settings, *, warm_up: Callable[[], None], timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._settings = settings
        self._warm_up = warm_up
        self._timeout_s = timeout_s
        self._patient_timeout_s = PATIENT_TIMEOUT_S
        # One call at a time: the process has one thread of work anyway, and a hanging call then fails alone.
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._closed = False

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the function returns, computed in the other process; blocks.

        Raises:
            UnavailableError: the process died twice, gave no answer in time, or was busy with others all that time.
            Exception: what the function raised, as it is.
        """
        return self._in_turn(carried(function, *args, **kwargs), self._timeout_s)

    def call_patiently(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """As `call`, for what may take minutes on a busy machine."""
        return self._in_turn(carried(function, *args, **kwargs), self._patient_timeout_s)

    def _in_turn(self, task: Callable[[], R], timeout_s: float) -> R:
        if not self._turn.acquire(timeout=timeout_s):
            raise UnavailableError(
                f"The process for heat maps and downloads was busy with another one for {timeout_s:.0f} s; try again."
            )
        try:
            return self._twice(task, timeout_s)
        finally:
            self._turn.release()

    def _twice(self, task: Callable[[], R], timeout_s: float) -> R:
        for attempt in (1, 2):
            pool, future = self._submit(task)
            try:
                return self._result(pool, future, timeout_s)
            except BrokenProcessPool:
                logger.warning("side process died", extra={"attempt": attempt})
                self._discard(pool)
        raise UnavailableError(
            "The process for heat maps and downloads died twice on this request; the machine may be out of memory. "
            "Try a smaller image, or a smaller network."
        )

    def _result(self, pool: ProcessPoolExecutor, future: Future[R], timeout_s: float) -> R:
        try:
            return future.result(timeout_s)
        except TimeoutError as error:
            if future.done():  # the function's own
                raise
            self._discard(pool)
            raise UnavailableError(
                f"The process for heat maps and downloads gave no answer within {timeout_s:.0f} s and was "
                "replaced; try again."
            ) from error
        except CancelledError as error:
            raise UnavailableError("The service is shutting down.") from error

    def process_ids(self) -> list[int]:
        """Of the process, where it runs."""
        with self._lock:
            return list(getattr(self._pool, "_processes", None) or {})

    def close(self) -> None:
        """End the process; calls that wait, and all later ones, raise `UnavailableError`."""
        with self._lock:
            self._closed = True  # else a waiting call would take the end for a death and start a new process
            pool, self._pool = self._pool, None
        if pool is not None:
            _stop(pool)

    def _submit(self, task: Callable[[], R]) -> tuple[ProcessPoolExecutor, Future[R]]:
        with self._lock:
            if self._closed:
                raise UnavailableError("The service is shutting down.")
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    max_workers=1,
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_initialise,
                    initargs=(self._settings, self._warm_up),
                )
            pool = self._pool
        try:
            return pool, pool.submit(task)
        except (BrokenProcessPool, RuntimeError) as error:  # it died while idle, or another caller discarded it
            failed: Future[R] = Future()
            failed.set_exception(BrokenProcessPool(str(error)))
            return pool, failed

    def _discard(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        _stop(pool)


def _stop(pool: ProcessPoolExecutor) -> None:
    # Shutting down alone waits for a call that hangs; the processes are asked to go first.
    processes: list[Any] = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(1.0)
        if process.is_alive():
            process.kill()


def _initialise(settings: Settings, warm_up: Callable[[], None]) -> None:
    stay_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lower_priority()  # predictions go first
    prepare_native_libraries()
    configure_logging(settings.log_level, log_format=settings.log_format)
    warm_quietly(warm_up)
