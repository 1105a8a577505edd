"""Between a job's stream of reports and its row: writes at most twice a second, loses no report, asks for cancellation.

A training reports every batch; a row and an event for each would keep the database busier than the network.
"""

from __future__ import annotations

import logging
import time

from backend.contracts import Progress
from backend.errors import UnavailableError
from backend.jobs.eta import Eta
from backend.jobs.queue import JobQueue

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 0.5
ASK_EVERY_S = 0.25


class Reporter:
    """One job's reports on their way to its row; for one thread."""

    def __init__(self, queue: JobQueue, job_id: str, *, worker_id: str) -> None:
        self._queue = queue
        self._job_id = job_id
        self._worker_id = worker_id
        self._pending: list[Progress] = []
        self._states: dict[str, str] = {}
        self._written_at = float("-inf")
        self._asked_at = float("-inf")
        self._cancel = False
        self._eta = Eta(started=time.monotonic())
        self._share = 0.0

    def report(self, progress: Progress) -> None:
        """Take a report. A candidate that changes its state is written at once: people wait for that."""
        self._pending.append(self._timed(progress))
        candidate = progress.candidate
        if candidate is not None and self._states.get(candidate.name) != candidate.state:
            self._states[candidate.name] = candidate.state
            self.flush()
        else:
            self.flush_if_due()

    def _timed(self, progress: Progress) -> Progress:
        """The report with an estimate of the time to go, where it brings none of its own."""
        self._share = max(self._share, min(1.0, progress.progress or 0.0))
        left = self._eta.update(self._share, now=time.monotonic(), budget_left_s=progress.budget_left_s)
        return progress if progress.eta_s is not None else progress.model_copy(update={"eta_s": left})

    def flush_if_due(self) -> None:
        if time.monotonic() - self._written_at >= WRITE_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Write what is pending; where the database does not answer it stays pending."""
        if not self._pending:
            return
        self._written_at = time.monotonic()
        try:
            self._queue.update_progress(self._job_id, *self._pending, worker_id=self._worker_id)
        except UnavailableError:
            logger.exception("progress not written; trying again", extra={"job_id": self._job_id})
        else:
            self._pending.clear()

    def cancel_requested(self) -> bool:
        """Whether somebody asked for the job's end."""
        if not self._cancel and time.monotonic() - self._asked_at >= ASK_EVERY_S:
            self._asked_at = time.monotonic()
            try:
                self._cancel = self._queue.cancel_requested(self._job_id)
            except UnavailableError:
                logger.exception("cancellation not asked for; trying again", extra={"job_id": self._job_id})
        return self._cancel
