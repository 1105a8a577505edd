"""Migrations: from whatever revision the tables have to the newest one that this version knows.

The caller holds the write lock, so that of several processes that start at once one migrates and the others find the
work done.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection

from backend.errors import UnavailableError

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"


def is_newest(connection: Connection) -> bool:
    """Whether there is nothing to do.

    Raises:
        UnavailableError: a newer Sightglass has changed the tables.
    """
    return _known_revisions(connection) == _scripts().newest


def upgrade(connection: Connection, *, to: str = "head") -> None:
    """Bring the tables to a revision, in the caller's transaction: all steps, or none.

    Raises:
        UnavailableError: a newer Sightglass has changed the tables.
    """
    from alembic import command

    _known_revisions(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _known_revisions(connection: Connection) -> set[str]:
    from alembic.migration import MigrationContext

    scripts = _scripts()
    revisions = set(MigrationContext.configure(connection).get_current_heads())
    if unknown := sorted(revisions - scripts.known):
        newest = ", ".join(sorted(scripts.newest))
        raise UnavailableError(
            f"The database has tables of revision '{unknown[0]}', which this version of Sightglass does not know (its "
            f"newest is '{newest}'): a newer version changed them. Start that version again, or restore the backup "
            "made before it."
        )
    return revisions


class _Scripts(NamedTuple):
    """What the folder of migrations knows; it does not change while a process runs."""

    known: frozenset[str]
    newest: frozenset[str]


@cache  # reading the folder takes 8 ms, and a process asks twice for each database that it opens
def _scripts() -> _Scripts:
    from alembic.script import ScriptDirectory

    folder = ScriptDirectory.from_config(_config())
    return _Scripts(frozenset(script.revision for script in folder.walk_revisions()), frozenset(folder.get_heads()))


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
