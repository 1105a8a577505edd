"""One database: connections, transactions, migrations. SQLite by default, any SQLAlchemy URL by setting.

It does not know what the tables mean. SQLite runs in WAL mode, so that readers (the API) never wait for the writer
(the worker): https://sqlite.org/wal.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend.errors import UnavailableError

BUSY_TIMEOUT_MS = 15_000
MIGRATIONS = Path(__file__).parent / "migrations"
WRITES = "sightglass_writes"


class Database:
    """A door to one database; safe to share between threads, cheap to make in every process."""

    def __init__(self, url: str) -> None:
        try:
            self.url = make_url(url)
            self.engine = create_engine(self.url)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise UnavailableError(
                f"SIGHTGLASS_DATABASE_URL cannot be used: {error}. A SQLAlchemy URL whose driver is installed is "
                "needed, for example sqlite:////var/lib/sightglass/sightglass.db."
            ) from error
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database throughout.

        Raises:
            UnavailableError: the database does not answer.
        """
        with _answering(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds SQLite's write lock from its start, so that read-then-write is atomic.

        Raises:
            UnavailableError: the database does not answer, or stays locked.
        """
        with _answering(), self.engine.connect() as connection:
            writer = connection.execution_options(**{WRITES: True})
            with writer.begin():
                yield writer

    def migrate(self) -> None:
        """Bring the tables to the newest version; a no-op where they are. Safe when several processes do it at once."""
        from alembic import command
        from alembic.config import Config

        if self.is_sqlite and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        with self.writing() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def check(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            UnavailableError: it gives none, or its tables are missing.
        """
        with self.reading() as connection:
            connection.execute(text("SELECT COUNT(*) FROM alembic_version"))

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def _answering() -> Iterator[None]:
    """Turn "cannot be reached now" into an error of our tree; bugs in SQL stay as they are."""
    try:
        yield
    except (OperationalError, PoolTimeout) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise UnavailableError(f"The database does not answer now ({cause}); try again in a moment.") from error


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves; the driver's own habit breaks read-then-write
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")  # enough in WAL mode: a power cut may lose the last commit, no more
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
