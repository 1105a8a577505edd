"""The queue of jobs: rows that are claimed, reported on, ended. First come, first served.

It does not know what a job means: `kind` and `payload` are the handler's. A worker that went away loses its claim:
every report carries the worker's id, and one whose claim was lost changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Select, and_, func, insert, or_, select, update

from backend.contracts import FINAL_STATES, Job, JobState, Progress, utc_now
from backend.errors import ConflictError, NotFoundError
from backend.execution.trace import request_id
from backend.jobs.events import EventType, append_event
from backend.jobs.lanes import EVERY_KIND, Lane
from backend.jobs.rows import to_job, to_row, with_candidates_closed, with_progress
from backend.storage.database import Database
from backend.storage.files import new_id
from backend.storage.tables import jobs

Change = Callable[[Job], Job]

# A worker says every 2 s that it lives. Somebody who cancels is not kept waiting for one that missed two of these.
DEAD_AFTER_S = 4.5


class JobQueue:
    """All jobs of one database, each kind in one of the lanes."""

    def __init__(self, database: Database, *, max_attempts: int = 3, lanes: tuple[Lane, ...] = (EVERY_KIND,)) -> None:
        self.database = database
        self._max_attempts = max_attempts
        self.lanes = lanes

    # -- for those who want work done

    def enqueue(self, kind: str, payload: dict[str, Any], *, dataset_id: str | None = None) -> Job:
        """Add a job at the end of the queue."""
        job = Job(
            job_id=new_id("job"),
            kind=kind,
            payload=payload,
            dataset_id=dataset_id,
            message="Waiting for a worker.",
            request_id=request_id(),
        )
        with self.database.writing() as connection:
            connection.execute(insert(jobs).values(**to_row(job)))
            append_event(connection, job, event_type="state")
        return job

    def get(self, job_id: str) -> Job:
        """One job.

        Raises:
            NotFoundError: no such job.
        """
        with self.database.reading() as connection:
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
        with self.database.reading() as connection:
            return [to_job(row) for row in connection.execute(query).mappings()]

    def counts(self) -> dict[str, int]:
        """How many jobs are queued and running."""
        query = select(jobs.c.state, func.count()).where(jobs.c.state.in_(("queued", "running"))).group_by(jobs.c.state)
        with self.database.reading() as connection:
            found: dict[str, int] = {row[0]: row[1] for row in connection.execute(query)}
        return {"queued": found.get("queued", 0), "running": found.get("running", 0)}

    def census(self) -> dict[str, int]:
        """How many jobs there are in each state, those of the past among them."""
        query = select(jobs.c.state, func.count()).group_by(jobs.c.state)
        with self.database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def position(self, job_id: str) -> int | None:
        """The job's place among those waiting in its lane, 1 is next; None where it does not wait."""
        return self.positions([job_id]).get(job_id)

    def positions(self, job_ids: Iterable[str]) -> Mapping[str, int]:
        """The places of those of the jobs that wait; one query a lane, however many are asked about."""
        asked = set(job_ids)
        places: dict[str, int] = {}
        with self.database.reading() as connection:
            for lane in self.lanes:
                query = select(jobs.c.job_id).where(jobs.c.state == "queued", lane.condition())
                line = enumerate(connection.scalars(query.order_by(jobs.c.sequence)), start=1)
                places.update({job_id: place for place, job_id in line if job_id in asked})
        return places

    def request_cancel(self, job_id: str) -> Job:
        """Ask for the job's end: a waiting job is cancelled at once, a running one by its worker.

        Raises:
            NotFoundError: no such job.
            ConflictError: the job has ended already, otherwise than by cancelling.
        """
        with self.database.writing() as connection:
            job = _get(connection, job_id, to_write=True)
            if job.state == "cancelled" or job.cancel_requested:
                return job
            if job.state in FINAL_STATES:
                raise ConflictError(f"Job '{job_id}' has already {job.state}; there is nothing to cancel.")
            asked = job.model_copy(update={"cancel_requested": True, "message": "Cancelling."})
            if job.state == "queued":
                asked = _ended(asked, "cancelled", message="Cancelled before it began.")
            elif _silent(job, for_s=DEAD_AFTER_S):  # nobody is there to be asked
                asked = _ended(asked, "cancelled", message="Cancelled.")
            return _store(connection, asked, event_type="state")

    # -- for workers

    def claim(self, worker_id: str, *, lane: Lane = EVERY_KIND) -> Job | None:
        """Take the lane's oldest waiting job, or None; also None while the lane is full.

        Two workers never take the same one, and never more than the lane's limit run, however many ask at once.
        """
        with self.database.reading() as connection:  # an idle worker asks often: no write lock for nothing
            if _next(connection, lane) is None:
                return None
        with self.database.writing() as connection:
            job = _next(connection, lane, to_write=True)
            if job is None:
                return None
            now = utc_now()
            fields = {
                "state": "running",
                "stage": "starting",
                "message": "Starting.",
                "attempts": job.attempts + 1,
                "started_at": now,
                "heartbeat_at": now,
            }
            return _store(connection, job.model_copy(update=fields), event_type="state", worker_id=worker_id)

    def hold(self, reason: str, *, lane: Lane = EVERY_KIND) -> Job | None:
        """Say on the job that would be next why it does not start yet; None where none waits, or it says so already."""
        with self.database.reading() as connection:
            job = _next(connection, lane)
        if job is None or job.message == reason:
            return None
        with self.database.writing() as connection:
            job = _get(connection, job.job_id, to_write=True)
            if job.state != "queued":
                return None
            return _store(connection, job.model_copy(update={"message": reason}), event_type="state")

    def heartbeat(self, job_id: str, *, worker_id: str) -> Job | None:
        """Say that the worker is still at it; returns the job as it stands, or None where the claim was lost."""
        with self.database.writing() as connection:
            owned = (jobs.c.job_id == job_id, jobs.c.worker_id == worker_id, jobs.c.state == "running")
            connection.execute(update(jobs).where(*owned).values(heartbeat_at=utc_now()))
            row = connection.execute(select(jobs).where(*owned)).mappings().first()
        return None if row is None else to_job(row)

    def cancel_requested(self, job_id: str) -> bool:
        """Whether somebody asked for the job's end. Cheap: workers ask several times a second."""
        query = select(jobs.c.cancel_requested).where(jobs.c.job_id == job_id)
        with self.database.reading() as connection:
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

    def made_progress(self, job_id: str) -> None:
        """Let a running job's earlier attempts not count: what was lost did some of the work that is not done again.

        What is counted then are deaths in a row at the same place (docs/decisions/0009).
        """
        with self.database.writing() as connection:
            owned = (jobs.c.job_id == job_id, jobs.c.state == "running", jobs.c.attempts > 1)
            connection.execute(update(jobs).where(*owned).values(attempts=1))

    def requeue_lost(self, *, stale_after_s: float) -> tuple[Job, ...]:
        """Give back every running job whose worker has not been heard of for that long; returns them as they stand.

        One that was to be cancelled is not waited for as long.
        """
        now = utc_now()
        cancelled_silent = jobs.c.heartbeat_at < now - timedelta(seconds=min(stale_after_s, DEAD_AFTER_S))
        silent = or_(
            jobs.c.heartbeat_at < now - timedelta(seconds=stale_after_s),
            and_(jobs.c.cancel_requested.is_(True), cancelled_silent),
        )
        query = select(jobs).where(jobs.c.state == "running", silent)
        with self.database.reading() as connection:
            if connection.execute(query).first() is None:
                return ()
        reason = f"its worker was not heard of for {stale_after_s:.0f} s"
        with self.database.writing() as connection:
            lost = [to_job(row) for row in connection.execute(query.with_for_update(skip_locked=True)).mappings()]
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
        with self.database.writing() as connection:
            row = connection.execute(select(jobs).where(*owned).with_for_update()).mappings().first()
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


def _get(connection: Connection, job_id: str, *, to_write: bool = False) -> Job:
    query = select(jobs).where(jobs.c.job_id == job_id)
    row = connection.execute(query.with_for_update() if to_write else query).mappings().first()
    if row is None:
        raise NotFoundError(f"There is no job '{job_id}'; GET /api/cv/jobs lists those there are.")
    return to_job(row)


def _next(connection: Connection, lane: Lane, *, to_write: bool = False) -> Job | None:
    """The job that would be claimed now: None where none waits or the lane is full."""
    if lane.limit is not None:
        running = select(func.count()).where(jobs.c.state == "running", lane.condition())
        if (connection.scalar(running) or 0) >= lane.limit:
            return None
    query: Select[Any] = select(jobs).where(jobs.c.state == "queued", lane.condition())
    query = query.order_by(jobs.c.sequence).limit(1)
    row = connection.execute(query.with_for_update(skip_locked=True) if to_write else query).mappings().first()
    return None if row is None else to_job(row)


def _silent(job: Job, *, for_s: float) -> bool:
    return job.heartbeat_at is not None and utc_now() - job.heartbeat_at > timedelta(seconds=for_s)


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
