"""The event log of jobs: what happened, in order, so that a watcher resumes where it left off.

It does not push: watchers ask `since`. Each event carries the job's public state at that moment, so that one event
is enough to draw the whole picture. That is why old reports of progress may go (`prune`): whoever comes back after one
that is gone finds the next, and has missed nothing that a later one does not say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, and_, delete, func, insert, or_, select

from backend.contracts import FINAL_STATES, Job, JobEvent, utc_now
from backend.storage.database import Database
from backend.storage.tables import job_events, jobs

# What the log and HTTP show of a job; `payload` and the queue's own bookkeeping stay inside.
PRIVATE_FIELDS = frozenset({"payload", "heartbeat_at"})
LARGEST_EVENT_ID = 2**63 - 1  # what the column holds
# Two reports a second: 2,000 are a quarter of an hour, longer than a watcher's connection is away. Some 3 KB each.
KEPT_REPORTS = 2000
KEPT_FOR = timedelta(hours=1)  # after a job's end; then only its changes of state stay, three to ten rows

EventType = Literal["state", "progress"]


def public_job(job: Job) -> dict[str, Any]:
    """The job as JSON-ready data, without what is private to the queue and the handler."""
    return job.model_dump(mode="json", exclude=set(PRIVATE_FIELDS))


def append_event(connection: Connection, job: Job, *, event_type: EventType) -> None:
    """Write one event within the caller's transaction, so that state and log never disagree."""
    connection.execute(
        insert(job_events).values(
            job_id=job.job_id, type=event_type, data=json.dumps(public_job(job)), created_at=utc_now()
        )
    )


class EventLog:
    """Reads the log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, job_id: str, *, after: int = 0, limit: int = 500) -> list[JobEvent]:
        """The job's events with an id above `after`, oldest first, at most `limit` of them."""
        query = (
            select(job_events)
            .where(job_events.c.job_id == job_id, job_events.c.event_id > min(after, LARGEST_EVENT_ID))
            .order_by(job_events.c.event_id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [_event(row) for row in connection.execute(query).mappings()]

    def since_each(self, places: Mapping[str, int], *, limit: int = 2000) -> list[JobEvent]:
        """Events of several jobs, each after its own place, oldest first: one query for all who watch."""
        if not places:
            return []
        after = [and_(job_events.c.job_id == job_id, job_events.c.event_id > place) for job_id, place in places.items()]
        query = select(job_events).where(or_(*after)).order_by(job_events.c.event_id).limit(limit)
        with self._database.reading() as connection:
            return [_event(row) for row in connection.execute(query).mappings()]

    def newest(self, job_id: str) -> int:
        """The id of the job's last event; 0 where it has none."""
        query = select(func.max(job_events.c.event_id)).where(job_events.c.job_id == job_id)
        with self._database.reading() as connection:
            return connection.scalar(query) or 0

    def prune(self) -> int:
        """Take out reports of progress that nobody needs any more; returns how many. Changes of state stay for ever."""
        ended_long_ago = select(jobs.c.job_id).where(
            jobs.c.state.in_(sorted(FINAL_STATES)), jobs.c.ended_at < utc_now() - KEPT_FOR
        )
        gone = job_events.c.type == "progress"
        with self._database.reading() as connection:  # the write lock is asked for only where there is something to do
            old = connection.scalar(
                select(job_events.c.event_id).where(gone, job_events.c.job_id.in_(ended_long_ago)).limit(1)
            )
            many = connection.execute(
                select(job_events.c.job_id)
                .where(gone)
                .group_by(job_events.c.job_id)
                .having(func.count() > KEPT_REPORTS)
            ).all()
        if old is None and not many:
            return 0
        with self._database.writing() as connection:
            removed = connection.execute(
                delete(job_events).where(gone, job_events.c.job_id.in_(ended_long_ago))
            ).rowcount
            for (job_id,) in many:
                newest = select(job_events.c.event_id).where(gone, job_events.c.job_id == job_id)
                newest = newest.order_by(job_events.c.event_id.desc()).offset(KEPT_REPORTS).limit(1)
                last = connection.scalar(newest) or 0
                mine = (gone, job_events.c.job_id == job_id, job_events.c.event_id <= last)
                removed += connection.execute(delete(job_events).where(*mine)).rowcount
        return removed


def _event(row: RowMapping) -> JobEvent:
    return JobEvent(
        event_id=row["event_id"],
        job_id=row["job_id"],
        type=row["type"],
        data=json.loads(row["data"]),
        created_at=row["created_at"],
    )
