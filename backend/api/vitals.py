"""What `/health` says of jobs and models: read anew each time, and the last known where reading takes too long.

It does not judge: `/ready` says whether the database answers. A read passes through a thread and several calls of the
database; beside an import that decodes pictures each of them waits for its turn, and the sum was seen to reach 400 ms.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import anyio
from anyio import CapacityLimiter, to_thread

# Health answers within 50 ms; half of it may go into knowing better.
PATIENCE_S = 0.02


@dataclass(frozen=True)
class Seen:
    """What the database said last."""

    jobs: dict[str, int]
    default_model: str | None


class Vitals:
    """The last known, refreshed by each question."""

    def __init__(self, look: Callable[[], Seen]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._seen: Seen | None = None

    async def latest(self) -> Seen:
        """What is known now; only the very first question waits as long as it takes.

        Raises:
            UnavailableError: the database said that it does not answer.
        """
        with anyio.move_on_after(PATIENCE_S):
            # A limiter of its own: when every ordinary thread is busy with an upload, this one is not.
            await to_thread.run_sync(self._refresh, abandon_on_cancel=True, limiter=CapacityLimiter(1))
        if self._seen is not None:
            return self._seen
        return await to_thread.run_sync(self._first, limiter=CapacityLimiter(1))

    def _refresh(self) -> None:
        if self._lock.acquire(timeout=PATIENCE_S):  # a read that hangs must not gather threads behind it
            try:
                self._seen = self._look()
            finally:
                self._lock.release()

    def _first(self) -> Seen:
        with self._lock:
            if self._seen is None:
                self._seen = self._look()
            return self._seen
