"""The worker: claims a job, has it executed, writes down how it went, claims the next.

It knows no ML: handlers are handed to it by kind. It knows no processes: the executor does. A worker that is stopped
gives its job back; one that is killed loses it to `requeue_lost`.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from backend.contracts import Job
from backend.errors import UnavailableError
from backend.execution.protocol import Executor, Handler, Outcome, Watch
from backend.execution.trace import traced
from backend.jobs.events import EventLog
from backend.jobs.lanes import EVERY_KIND, Lane
from backend.jobs.presence import Presence, worker_prefix
from backend.jobs.queue import JobQueue
from backend.jobs.reporter import Reporter
from backend.storage.files import new_id

logger = logging.getLogger(__name__)

T = TypeVar("T")

IDLE_WAIT_S = 0.25
HEARTBEAT_S = 2.0
STALE_AFTER_S = 20.0  # ten missed heartbeats: a machine under full load was seen to delay one by 3 s
SWEEP_EVERY_S = 5.0
WRITE_ATTEMPTS = 5
PRUNE_EVERY_S = 60.0


def _nothing_in_the_way() -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Post:
    """Where a worker stands: the lane it takes from, and what may keep it from starting a job, in words for people."""

    lane: Lane = EVERY_KIND
    obstacle: Callable[[], str | None] = _nothing_in_the_way


class Worker:
    """Runs jobs until told to stop."""

    def __init__(
        self,
        queue: JobQueue,
        executor: Executor,
        *,
        handlers: Mapping[str, Handler],
        presence: Presence,
        post: Post | None = None,
    ) -> None:
        self.worker_id = f"{worker_prefix(socket.gethostname())}{os.getpid()}-{new_id('w')}"
        self._queue = queue
        self._events = EventLog(queue.database)
        self._executor = executor
        self._handlers = handlers
        self._presence = presence
        self._post = post or Post()
        self._swept_at = self._pruned_at = float("-inf")
        self._stop = threading.Event()
        self._current: Job | None = None
        self._claim_lost = threading.Event()

    def stop(self) -> None:
        """Ask for the end; safe from a signal handler or another thread."""
        self._stop.set()

    def run(self) -> None:
        """Work until `stop`; blocks. A database that does not answer is waited for, not died of."""
        logger.info("worker starts", extra={"worker_id": self.worker_id})
        heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        heart.start()
        self._executor.start()
        try:
            self._loop()
        finally:
            self._stop.set()
            self._executor.close()
            heart.join(HEARTBEAT_S)
            self._persist(lambda: self._presence.leave(self.worker_id))
            logger.info("worker ends", extra={"worker_id": self.worker_id})

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self._tidy()
                job = self._next()
            except UnavailableError:
                logger.exception("the database does not answer; trying again")
                self._stop.wait(HEARTBEAT_S)
                continue
            if job is None:
                self._stop.wait(IDLE_WAIT_S)
            else:
                self._work(job)

    def _next(self) -> Job | None:
        """The next job, or None; where the machine cannot take it now, the job says why."""
        obstacle = self._post.obstacle()
        if obstacle is None:
            return self._queue.claim(self.worker_id, lane=self._post.lane)
        self._queue.hold(obstacle, lane=self._post.lane)
        return None

    def _tidy(self) -> None:
        """Give lost jobs back, and thin out the log, each now and then."""
        now = time.monotonic()
        if now - self._swept_at >= SWEEP_EVERY_S:
            self._queue.requeue_lost(stale_after_s=STALE_AFTER_S)
            self._swept_at = now
        if now - self._pruned_at >= PRUNE_EVERY_S:
            self._events.prune()
            self._pruned_at = now

    def _work(self, job: Job) -> None:
        # A thread of its own works on one job at a time: what it logs belongs to the request that started that.
        with traced(job.request_id):
            self._carry_out(job)

    def _carry_out(self, job: Job) -> None:
        logger.info("job starts", extra={"job_id": job.job_id, "kind": job.kind, "attempt": job.attempts})
        handler = self._handlers.get(job.kind)
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            reason = f"This worker cannot do jobs of kind '{job.kind}'; it does: {known}."
            self._persist(lambda: self._queue.fail(job.job_id, reason, worker_id=self.worker_id))
            return
        self._claim_lost.clear()
        self._current = job
        reporter = Reporter(self._queue, job.job_id, worker_id=self.worker_id)
        try:
            outcome = self._executor.run(handler, job, watch=self._watch(reporter))
        finally:
            self._current = None
        reporter.flush()
        self._persist(lambda: self._end(job, outcome))
        logger.info("job ends", extra={"job_id": job.job_id, "outcome": outcome.state, "detail": outcome.detail})

    def _watch(self, reporter: Reporter) -> Watch:
        def cancelled() -> bool:
            reporter.flush_if_due()
            return reporter.cancel_requested()

        def stopped() -> bool:
            # A job that was given away is dropped at once: whoever has it now must not meet results of this attempt.
            return self._stop.is_set() or self._claim_lost.is_set()

        return Watch(report=reporter.report, cancelled=cancelled, stopped=stopped)

    def _end(self, job: Job, outcome: Outcome) -> Job | None:
        """Write the outcome; the results, if any, were published before."""
        if outcome.state == "succeeded":
            return self._queue.finish(job.job_id, worker_id=self.worker_id, message=outcome.detail or "Done.")
        if outcome.state == "cancelled":
            return self._queue.cancelled(job.job_id, worker_id=self.worker_id)
        if outcome.state == "failed":
            return self._queue.fail(job.job_id, outcome.detail, worker_id=self.worker_id)
        stopped = self._stop.is_set()
        return self._queue.release(job.job_id, outcome.detail, worker_id=self.worker_id, refund=stopped)

    def _beat(self) -> None:
        """Say every few seconds that this worker and its job are alive; notice when the job was given away."""
        while not self._stop.is_set():
            job = self._current
            try:
                self._presence.sign(self.worker_id)
                alive = job is None or self._queue.heartbeat(job.job_id, worker_id=self.worker_id) is not None
                if not alive and self._current is job:
                    logger.warning("claim lost", extra={"worker_id": self.worker_id})
                    self._claim_lost.set()
            except UnavailableError:
                logger.exception("no heartbeat written; trying again")
            self._stop.wait(HEARTBEAT_S)

    def _persist(self, write: Callable[[], T]) -> T | None:
        """Write, and try again where the database does not answer. What cannot be written is found as lost later."""
        for attempt in range(1, WRITE_ATTEMPTS + 1):
            try:
                return write()
            except UnavailableError:
                logger.exception("not written", extra={"attempt": attempt})
                time.sleep(min(attempt, HEARTBEAT_S))
        return None
