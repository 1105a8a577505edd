"""Which workers are there: each says so every few seconds, and readiness asks."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, func, insert, select, update

from backend.contracts import utc_now
from backend.storage.database import Database
from backend.storage.tables import workers

FORGET_AFTER = timedelta(hours=1)


def worker_prefix(host: str) -> str:
    """How the ids of all workers of a host begin."""
    return f"{host[:60]}-"


class Presence:
    """The signs of life of all workers of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sign(self, worker_id: str) -> None:
        """Give a sign of life; workers long silent are forgotten on the way."""
        now = utc_now()
        with self._database.writing() as connection:
            found = connection.execute(
                update(workers).where(workers.c.worker_id == worker_id).values(heartbeat_at=now)
            ).rowcount
            if found == 0:
                connection.execute(insert(workers).values(worker_id=worker_id, started_at=now, heartbeat_at=now))
            connection.execute(delete(workers).where(workers.c.heartbeat_at < now - FORGET_AFTER))

    def leave(self, worker_id: str) -> None:
        """Say good-bye."""
        with self._database.writing() as connection:
            connection.execute(delete(workers).where(workers.c.worker_id == worker_id))

    def silence_s(self, *, host: str | None = None) -> float | None:
        """Seconds since any worker, or one of a host, was last heard of; None where there is none."""
        asked = select(func.max(workers.c.heartbeat_at))
        if host is not None:
            asked = asked.where(workers.c.worker_id.startswith(worker_prefix(host), autoescape=True))
        with self._database.reading() as connection:
            newest = connection.scalar(asked)
        return None if newest is None else max(0.0, (utc_now() - newest).total_seconds())
