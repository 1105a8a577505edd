"""Which commits make up a folder, in the database: the row is what makes stored files visible to other machines.

A folder that was removed keeps one row that says so, by which machines with a working copy learn of it. Ids are never
used twice, so it stays true.
"""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, delete, insert, or_, select, update

from backend.contracts import utc_now
from backend.storage.database import Database
from backend.storage.tables import stored_commits

COMMIT, REMOVED, CLEARED = "commit-", "removed-", "cleared-"


class CommitLog:
    """The commits of all folders of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def close(self) -> None:
        self._database.close()

    def of(self, tree: str) -> list[str]:
        """Ids of a folder's commits, oldest first."""
        query = select(stored_commits.c.commit_id).where(
            stored_commits.c.tree == tree, stored_commits.c.commit_id.startswith(COMMIT)
        )
        with self._database.reading() as connection:
            return list(connection.scalars(query.order_by(stored_commits.c.sequence)))

    def add(self, tree: str, commit_id: str) -> None:
        """Make a commit visible."""
        with self._database.writing() as connection:
            add_commit(connection, tree, commit_id)

    def remove(self, tree: str) -> None:
        """Make a folder invisible. A folder that was never stored leaves no trace."""
        with self._database.writing() as connection:
            gone = connection.execute(delete(stored_commits).where(stored_commits.c.tree == tree)).rowcount
            if gone:
                add_commit(connection, tree, f"{REMOVED}{secrets.token_hex(8)}")

    def removal_done(self, tree: str) -> None:
        """Note that the objects of a removed folder are gone from the storage."""
        removed = (stored_commits.c.tree == tree, stored_commits.c.commit_id.startswith(REMOVED))
        with self._database.writing() as connection:
            connection.execute(
                update(stored_commits).where(*removed).values(commit_id=f"{CLEARED}{secrets.token_hex(8)}")
            )

    def removed(self, *, pending: bool = False) -> list[str]:
        """Folders that were removed; with `pending` only those whose objects are still there."""
        kinds = [
            stored_commits.c.commit_id.startswith(kind) for kind in ((REMOVED,) if pending else (REMOVED, CLEARED))
        ]
        with self._database.reading() as connection:
            return list(connection.scalars(select(stored_commits.c.tree).where(or_(*kinds))))


def add_commit(connection: Connection, tree: str, commit_id: str) -> None:
    """Make a commit visible within the caller's transaction, together with the row that needs it."""
    connection.execute(insert(stored_commits).values(tree=tree, commit_id=commit_id, created_at=utc_now()))
