"""Migrations: from whatever revision the tables have to the newest one that this version knows.

The caller holds the write lock, so that of several processes that start at once one migrates and the others find the
work done.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from backend.errors import UnavailableError

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

MIGRATIONS = Path(__file__).parent / "migrations"


def is_newest(connection: Connection) -> bool:
    """Whether there is nothing to do.

    Raises:
        UnavailableError: a newer Sightglass has changed the tables.
    """
    return _known_revisions(connection) == set(_scripts().get_heads())


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
    known = {script.revision for script in scripts.walk_revisions()}
    if unknown := sorted(revisions - known):
        newest = ", ".join(scripts.get_heads())
        raise UnavailableError(
            f"The database has tables of revision '{unknown[0]}', which this version of Sightglass does not know (its "
            f"newest is '{newest}'): a newer version changed them. Start that version again, or restore the backup "
            "made before it."
        )
    return revisions


def _scripts() -> ScriptDirectory:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
