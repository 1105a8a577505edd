"""The queue of jobs: rows that are claimed, reported on, ended. First come, first served.

It does not know what a job means: `kind` and `payload` are the handler's. A worker that went away loses its claim:
every report carries the worker's id, and one whose claim was lost changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from backend.contracts import FINAL_STATES, Job, JobState, Progress, utc_now
from backend.errors import ConflictError, NotFoundError
from backend.jobs.events import EventType, append_event
from backend.jobs.rows import to_job, to_row, with_candidates_closed, with_progress
from backend.storage.database import Database
from backend.storage.files import new_id
from backend.storage.tables import jobs

Change = Callable[[Job], Job]


class JobQueue:
    """All jobs of one database."""

    def __init__(self, database: Database, *, max_attempts: int = 3) -> None:
        self._database = database
        self._max_attempts = max_attempts

    # -- for those who want work done

    def enqueue(self, kind: str, payload: dict[str, Any], *, dataset_id: str | None = None) -> Job:
        """Add a job at the end of the queue."""
        job = Job(
            job_id=new_id("job"), kind=kind, payload=payload, dataset_id=dataset_id, message="Waiting for a worker."
        )
        with self._database.writing() as connection:
            connection.execute(insert(jobs).values(**to_row(job)))
            append_event(connection, job, event_type="state")
        return job

    def get(self, job_id: str) -> Job:
        """One job.

        Raises:
            NotFoundError: no such job.
        """
        with self._database.reading() as connection:
            return _get(connection, job_id)

    def list(
        self, *, state: JobState | None = None, dataset_id: str | None = None, limit: int = 100, offset: int = 0
    ) -> list[Job]:
        """Jobs, newest first."""
        query = select(jobs).order_by(jobs.c.sequence.desc()).limit(limit).offset(offset)
        if state is not None:
            query = query.where(jobs.c.state == state)
        if dataset_id is not None:
            query = query.where(jobs.c.dataset_id == dataset_id)
        with self._database.reading() as connection:
            return [to_job(row) for row in connection.execute(query).mappings()]

    def counts(self) -> dict[str, int]:
        """How many jobs are queued and running."""
        query = select(jobs.c.state, func.count()).where(jobs.c.state.in_(("queued", "running"))).group_by(jobs.c.state)
        with self._database.reading() as connection:
            found: dict[str, int] = {row[0]: row[1] for row in connection.execute(query)}
        return {"queued": found.get("queued", 0), "running": found.get("running", 0)}

    def position(self, job_id: str) -> int | None:
        """The job's place among those waiting, 1 is next; None where it does not wait."""
        own = select(jobs.c.sequence).where(jobs.c.job_id == job_id, jobs.c.state == "queued").scalar_subquery()
        query = select(func.count()).where(jobs.c.state == "queued", jobs.c.sequence <= own)
        with self._database.reading() as connection:
            return connection.scalar(query) or None

    def request_cancel(self, job_id: str) -> Job:
        """Ask for the job's end: a waiting job is cancelled at once, a running one by its worker.

        Raises:
            NotFoundError: no such job.
            ConflictError: the job has ended already, otherwise than by cancelling.
        """
        with self._database.writing() as connection:
            job = _get(connection, job_id)
            if job.state == "cancelled" or job.cancel_requested:
                return job
            if job.state in FINAL_STATES:
                raise ConflictError(f"Job '{job_id}' has already {job.state}; there is nothing to cancel.")
            asked = job.model_copy(update={"cancel_requested": True, "message": "Cancelling."})
            if job.state == "queued":
                asked = _ended(asked, "cancelled", message="Cancelled before it began.")
            return _store(connection, asked, event_type="state")

    # -- for workers

    def claim(self, worker_id: str) -> Job | None:
        """Take the oldest waiting job, or None. Two workers never take the same one."""
        query = select(jobs).where(jobs.c.state == "queued").order_by(jobs.c.sequence).limit(1)
        with self._database.reading() as connection:  # an idle worker asks often: no write lock for nothing
            if connection.execute(query).first() is None:
                return None
        with self._database.writing() as connection:
            row = connection.execute(query.with_for_update(skip_locked=True)).mappings().first()
            if row is None:
                return None
            now = utc_now()
            fields = {
                "state": "running",
                "stage": "starting",
                "message": "Starting.",
                "attempts": row["attempts"] + 1,
                "started_at": now,
                "heartbeat_at": now,
            }
            job = to_job(row).model_copy(update=fields)
            return _store(connection, job, event_type="state", worker_id=worker_id)

    def heartbeat(self, job_id: str, *, worker_id: str) -> Job | None:
        """Say that the worker is still at it; returns the job as it stands, or None where the claim was lost."""
        with self._database.writing() as connection:
            owned = (jobs.c.job_id == job_id, jobs.c.worker_id == worker_id, jobs.c.state == "running")
            connection.execute(update(jobs).where(*owned).values(heartbeat_at=utc_now()))
            row = connection.execute(select(jobs).where(*owned)).mappings().first()
        return None if row is None else to_job(row)

    def cancel_requested(self, job_id: str) -> bool:
        """Whether somebody asked for the job's end. Cheap: workers ask several times a second."""
        query = select(jobs.c.cancel_requested).where(jobs.c.job_id == job_id)
        with self._database.reading() as connection:
            return bool(connection.scalar(query))

    def update_progress(self, job_id: str, *reports: Progress, worker_id: str) -> Job | None:
        """Write reports in their order, as one event; None where the claim was lost."""

        def change(job: Job) -> Job:
            for report in reports:
                job = with_progress(job, report)
            return job

        return self._change_own(job_id, worker_id, change, event_type="progress")

    def finish(self, job_id: str, *, worker_id: str, message: str = "Done.") -> Job | None:
        """End the job well; None where the claim was lost."""
        return self._change_own(job_id, worker_id, lambda job: _ended(job, "succeeded", message=message))

    def fail(self, job_id: str, error: str, *, worker_id: str) -> Job | None:
        """End the job with a reason that a person can act on; None where the claim was lost."""
        return self._change_own(job_id, worker_id, lambda job: _ended(job, "failed", message=error, error=error))

    def cancelled(self, job_id: str, *, worker_id: str) -> Job | None:
        """End the job because somebody asked; candidates that had finished stay. None where the claim was lost."""
        return self._change_own(job_id, worker_id, lambda job: _ended(job, "cancelled", message="Cancelled."))

    def release(self, job_id: str, reason: str, *, worker_id: str, refund: bool = False) -> Job | None:
        """Give a job back whose execution was lost: it waits again, or fails where its attempts are used up.

        With `refund` the attempt does not count: the worker was stopped on purpose, which says nothing of the job.
        """

        def change(job: Job) -> Job:
            return self._lost(job.model_copy(update={"attempts": job.attempts - 1}) if refund else job, reason)

        return self._change_own(job_id, worker_id, change)

    def requeue_lost(self, *, stale_after_s: float) -> tuple[Job, ...]:
        """Give back every running job whose worker has not been heard of for that long; returns them as they stand."""
        oldest = utc_now() - timedelta(seconds=stale_after_s)
        query = select(jobs).where(jobs.c.state == "running", jobs.c.heartbeat_at < oldest)
        with self._database.reading() as connection:
            if connection.execute(query).first() is None:
                return ()
        reason = f"its worker was not heard of for {stale_after_s:.0f} s"
        with self._database.writing() as connection:
            lost = [to_job(row) for row in connection.execute(query).mappings()]
            return tuple(
                _store(connection, self._lost(job, reason), event_type="state", worker_id=None) for job in lost
            )

    def _lost(self, job: Job, reason: str) -> Job:
        if job.cancel_requested:
            return _ended(job, "cancelled", message="Cancelled.")
        if job.attempts >= self._max_attempts:
            error = f"Given up after {job.attempts} of {self._max_attempts} attempts: {reason}."
            return _ended(job, "failed", message=error, error=error)
        message = f"Waiting to start again (attempt {job.attempts + 1} of {self._max_attempts}): {reason}."
        fresh = {"state": "queued", "stage": "queued", "progress": 0.0, "candidates": (), "message": message}
        return job.model_copy(update={**fresh, "eta_s": None, "heartbeat_at": None})

    def _change_own(
        self, job_id: str, worker_id: str, change: Change, *, event_type: EventType = "state"
    ) -> Job | None:
        owned = (jobs.c.job_id == job_id, jobs.c.worker_id == worker_id, jobs.c.state == "running")
        with self._database.writing() as connection:
            row = connection.execute(select(jobs).where(*owned)).mappings().first()
            if row is None:
                return None
            return _store(connection, change(to_job(row)), event_type=event_type)


_KEEP = object()


def _store(connection: Connection, job: Job, *, event_type: EventType, worker_id: Any = _KEEP) -> Job:
    """Write the row and its event in the caller's transaction."""
    values = to_row(job)
    if worker_id is not _KEEP:
        values["worker_id"] = worker_id
    connection.execute(update(jobs).where(jobs.c.job_id == job.job_id).values(**values))
    append_event(connection, job, event_type=event_type)
    return job


def _get(connection: Connection, job_id: str) -> Job:
    row = connection.execute(select(jobs).where(jobs.c.job_id == job_id)).mappings().first()
    if row is None:
        raise NotFoundError(f"There is no job '{job_id}'; GET /api/cv/jobs lists those there are.")
    return to_job(row)


def _ended(job: Job, state: JobState, *, message: str, error: str | None = None) -> Job:
    closed = with_candidates_closed(job, reason=message)
    return closed.model_copy(
        update={
            "state": state,
            "stage": state,
            "message": message,
            "error": error,
            "progress": 1.0 if state == "succeeded" else job.progress,
            "eta_s": 0.0 if state == "succeeded" else None,
            "ended_at": utc_now(),
        }
    )
