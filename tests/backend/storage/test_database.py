from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from backend.errors import UnavailableError
from backend.storage.database import Database
from backend.storage.tables import metadata


def test_migrations_and_table_descriptions_say_the_same(database):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_twice_changes_nothing_and_keeps_rows(database):
    with database.writing() as connection:
        connection.execute(text("INSERT INTO datasets VALUES ('ds-1', '2026-01-01 00:00:00.000000', '{}')"))
    database.migrate()
    with database.reading() as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM datasets")) == 1


def test_several_processes_may_migrate_at_once(tmp_path):
    databases = [Database(f"sqlite:///{tmp_path / 'race.db'}") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda database: database.migrate(), databases))
    for database in databases:
        database.check()
        database.close()


def test_sqlite_runs_in_wal_mode_with_foreign_keys(database):
    with database.reading() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert connection.scalar(text("PRAGMA busy_timeout")) >= 5000


def test_a_result_without_its_model_is_refused(database):
    statement = text("INSERT INTO results (job_id, dataset_id, model_id, record) VALUES ('a', 'b', 'none', '{}')")
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(statement)


def test_readers_are_not_held_up_by_a_writer(database):
    with database.writing() as writer:
        writer.execute(text("INSERT INTO datasets VALUES ('ds-1', '2026-01-01 00:00:00.000000', '{}')"))
        with database.reading() as reader:
            assert reader.scalar(text("SELECT COUNT(*) FROM datasets")) == 0


def test_a_database_without_tables_is_unavailable(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(UnavailableError, match="does not answer"):
        database.check()
    database.close()


def test_a_locked_database_is_unavailable_not_a_crash(database):
    other = Database(str(database.url))
    with database.writing(), pytest.raises(UnavailableError, match="locked"):
        hurried_write(other)
    other.close()


def hurried_write(database):
    with database.engine.connect() as connection:
        connection.execute(text("PRAGMA busy_timeout = 10"))
    with database.writing():
        pass


@pytest.mark.parametrize("url", ["nonsense", "nosuchdatabase://x/y", "postgresql+nosuchdriver://x/y"])
def test_an_unusable_url_names_the_setting(url):
    with pytest.raises(UnavailableError, match="SIGHTGLASS_DATABASE_URL"):
        Database(url)
