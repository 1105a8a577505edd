"""The event log of jobs: what happened, in order, so that a watcher resumes where it left off.

It does not push: watchers ask `since`. Each event carries the job's public state at that moment, so that one event
is enough to draw the whole picture.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from sqlalchemy import Connection, insert, select

from backend.contracts import Job, JobEvent, utc_now
from backend.storage.database import Database
from backend.storage.tables import job_events

# What the log and HTTP show of a job; `payload` and the queue's own bookkeeping stay inside.
PRIVATE_FIELDS = frozenset({"payload", "heartbeat_at"})
LARGEST_EVENT_ID = 2**63 - 1  # what the column holds

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
            rows = connection.execute(query).mappings().all()
        return [
            JobEvent(
                event_id=row["event_id"],
                job_id=row["job_id"],
                type=row["type"],
                data=json.loads(row["data"]),
                created_at=row["created_at"],
            )
            for row in rows
        ]
