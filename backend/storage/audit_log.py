"""Who did what, when, from where: lines that are added and never changed. It does not know who may read them.

What the storage does itself (a promotion) is written in the same transaction, by `write_entry`; the rest right after.
"""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from backend.contracts import AuditAction, AuditEntry, AuditPage, Caller, utc_now
from backend.storage.database import Database
from backend.storage.tables import audit_log

NOBODY_KNOWN = Caller(name="local")
LONGEST = 500  # of what a caller can choose: a request id, a reason


class AuditLog:
    """The audit log of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, action: AuditAction, subject: str, *, caller: Caller, dataset_id: str | None = None, detail: str = ""
    ) -> None:
        """Write a line about something that was done outside the database.

        Raises:
            UnavailableError: the database does not answer.
        """
        with self._database.writing() as connection:
            write_entry(connection, action, subject, caller=caller, dataset_id=dataset_id, detail=detail)

    def page(self, *, limit: int, before: int | None = None, subject: str | None = None) -> AuditPage:
        """The newest lines, or those before the line `before`; with `subject`, those of one dataset, job or model.

        A dataset's lines are also those of its jobs and models.
        """
        query = select(audit_log).order_by(audit_log.c.entry_id.desc()).limit(limit + 1)
        if before is not None:
            query = query.where(audit_log.c.entry_id < before)
        if subject is not None:
            query = query.where((audit_log.c.subject == subject) | (audit_log.c.dataset_id == subject))
        with self._database.reading() as connection:
            rows = [AuditEntry.model_validate(dict(row)) for row in connection.execute(query).mappings()]
        entries = tuple(rows[:limit])
        return AuditPage(entries=entries, next_before=entries[-1].entry_id if len(rows) > limit else None)

    def actor_of(self, action: AuditAction, subject: str) -> str | None:
        """Who did something to a dataset, job or model last; None: nobody, or before there was a log."""
        query = (
            select(audit_log.c.actor)
            .where(audit_log.c.subject == subject, audit_log.c.action == action)
            .order_by(audit_log.c.entry_id.desc())
            .limit(1)
        )
        with self._database.reading() as connection:
            actor: str | None = connection.scalar(query)
        return actor


def write_entry(
    connection: Connection,
    action: AuditAction,
    subject: str,
    *,
    caller: Caller,
    dataset_id: str | None = None,
    detail: str = "",
) -> None:
    """Write a line within a transaction that is under way."""
    row = {
        "created_at": utc_now(),
        "actor": caller.name[:LONGEST],
        "action": action,
        "subject": subject,
        "dataset_id": dataset_id,
        "detail": detail[:LONGEST],
        "address": caller.address[:LONGEST],
        "request_id": caller.request_id[:LONGEST],
    }
    connection.execute(insert(audit_log).values(**row))
