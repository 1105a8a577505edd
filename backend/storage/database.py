"""One database: connections, transactions. SQLite by default, PostgreSQL by setting.

It does not know what the tables mean. Both keep the same promise, so that nobody above asks which one it is: `reading`
sees one state throughout, and `writing` is the only writer of the whole database. SQLite runs in WAL mode, so that
readers (the API) never wait for the writer (the worker): https://sqlite.org/wal.html. On PostgreSQL the writers queue
for one advisory lock, which the end of the transaction frees, however that comes; readers never ask for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event, text
from sqlalchemy.exc import DatabaseError, DataError, DBAPIError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend.errors import InputError, UnavailableError
from backend.storage.addresses import database_address, without_secrets

BUSY_TIMEOUT_MS = 15_000
# What a migration may wait for another process's migration: rewriting a large table takes minutes.
MIGRATION_TIMEOUT_MS = 600_000
WRITES = "sightglass_writes"
# Any number that nothing else in the same database uses; this one spells "sightgls".
WRITE_LOCK = int.from_bytes(b"sightgls", "big")
# A peer that vanished without a word (a pulled cable) is noticed within a minute, not after the system's two hours.
POSTGRESQL_OPTIONS = {"connect_timeout": 5, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
# A client that holds the write lock and then says nothing: its machine sleeps, or a debugger stands in it.
IDLE_IN_TRANSACTION_MS = 60_000


class Database:
    """A door to one database; safe to share between threads, cheap to make in every process."""

    def __init__(self, url: str) -> None:
        self.url = database_address(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        try:
            self.engine = create_engine(self.url) if self.is_sqlite else _server_engine(self.url)
        except ModuleNotFoundError as error:
            raise UnavailableError(
                f"SIGHTGLASS_DATABASE_URL needs the Python package '{error.name}', which is not installed."
            ) from error
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            event.listen(self.engine, "connect", _prepare_postgresql)
            event.listen(self.engine, "begin", _begin_postgresql)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database throughout.

        Raises:
            UnavailableError: the database does not answer.
        """
        with self._answering(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, *, wait_ms: int = BUSY_TIMEOUT_MS) -> Iterator[Connection]:
        """A transaction that is the only writer from its start, so that read-then-write is atomic.

        It waits for its turn; on PostgreSQL at most `wait_ms`.

        Raises:
            UnavailableError: the database does not answer, or stays locked.
        """
        with self._answering(), self.engine.connect() as connection:
            writer = connection.execution_options(**{WRITES: wait_ms})
            with writer.begin():
                yield writer

    def migrate(self) -> None:
        """Bring the tables to the newest version; a no-op where they are. Safe when several processes do it at once.

        Raises:
            UnavailableError: the database does not answer, or a newer Sightglass has changed its tables.
        """
        from backend.storage.migrating import is_newest, upgrade

        if self.is_sqlite and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        with self.reading() as connection:  # the usual start: nothing to do, and nobody to wait for
            if is_newest(connection):
                return
        with self.writing(wait_ms=MIGRATION_TIMEOUT_MS) as connection:
            upgrade(connection)

    def check(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            UnavailableError: it gives none, or its tables are missing.
        """
        try:
            with self.reading() as connection:
                connection.execute(text("SELECT COUNT(*) FROM alembic_version"))
        except ProgrammingError as error:  # PostgreSQL's word for a missing table; SQLite calls that operational
            raise UnavailableError(
                "The database answers, but its tables are missing; start the service anew to have them made."
            ) from error
        except DatabaseError as error:  # a file that is no database, or a damaged one
            raise UnavailableError(
                f"The database cannot be read ({without_secrets(str(error.orig), self.url)}); restore it from a backup."
            ) from error

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn "cannot be reached now" into an error of our tree; bugs in SQL stay as they are."""
        try:
            yield
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            reason = without_secrets(" ".join(str(cause).split()), self.url)
            raise UnavailableError(f"The database does not answer now ({reason}); try again in a moment.") from error
        except DataError as error:
            reason = without_secrets(" ".join(str(error.orig).split()), self.url)
            raise InputError(f"The database cannot hold a value that was sent: {reason}. Leave it out.") from error


def _server_engine(url: URL) -> Any:
    # Each transaction first asks whether its connection still lives: a server that was started anew costs nobody an
    # error, 0.1 ms on one machine.
    options = {name: value for name, value in POSTGRESQL_OPTIONS.items() if name not in url.query}
    return create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args=options)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves; the driver's own habit breaks read-then-write
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")  # enough in WAL mode: a power cut may lose the last commit, no more
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = WRITES in connection.get_execution_options()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS}")
    connection.commit()


def _begin_postgresql(connection: Connection) -> None:
    """Readers get one snapshot; a writer waits for its turn first, so that all it reads is what the last one left."""
    wait_ms = connection.get_execution_options().get(WRITES)
    if wait_ms is None:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(wait_ms)}")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
