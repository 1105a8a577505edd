from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from backend.errors import UnavailableError
from backend.jobs.events import EventLog
from backend.jobs.queue import JobQueue
from backend.storage.catalog import Catalog
from backend.storage.database import Database
from backend.storage.migrating import upgrade
from backend.storage.tables import metadata


def test_migrations_and_table_descriptions_say_the_same(database):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


ONE_DATASET = (
    "INSERT INTO datasets (dataset_id, created_at, record) VALUES ('ds-1', '2026-01-01 00:00:00.000000', '{}')"
)


def test_migrating_twice_changes_nothing_and_keeps_rows(database):
    with database.writing() as connection:
        connection.execute(text(ONE_DATASET))
    database.migrate()
    with database.reading() as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM datasets")) == 1


def test_several_processes_may_migrate_at_once(empty_database):
    address = str(empty_database.url)
    databases = [Database(address) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda database: database.migrate(), databases))
    for database in databases:
        database.check()
        database.close()


@pytest.fixture
def sqlite(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'own.db'}")
    database.migrate()
    yield database
    database.close()


def test_sqlite_runs_in_wal_mode_with_foreign_keys(sqlite):
    with sqlite.reading() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert connection.scalar(text("PRAGMA busy_timeout")) >= 5000


def test_a_result_without_its_model_is_refused(database):
    statement = text("INSERT INTO results (job_id, dataset_id, model_id, record) VALUES ('a', 'b', 'none', '{}')")
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(statement)


def test_readers_are_not_held_up_by_a_writer(database):
    with database.writing() as writer:
        writer.execute(text(ONE_DATASET))
        with database.reading() as reader:
            assert reader.scalar(text("SELECT COUNT(*) FROM datasets")) == 0


def test_a_database_without_tables_is_unavailable(empty_database):
    with pytest.raises(UnavailableError, match=r"alembic_version|tables are missing"):
        empty_database.check()


def test_a_locked_database_is_unavailable_not_a_crash(sqlite):
    other = Database(str(sqlite.url))
    with sqlite.writing(), pytest.raises(UnavailableError, match="locked"):
        hurried_write(other)
    other.close()


def hurried_write(database):
    with database.engine.connect() as connection:
        connection.execute(text("PRAGMA busy_timeout = 10"))
    with database.writing():
        pass


SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        f"nosuchdatabase://x:{SECRET}@y/z",
        f"postgresql+nosuchdriver://x:{SECRET}@y/z",
        f"mysql://x:{SECRET}@y/z",
        f"postgresql://x:a@{SECRET}@y/z",
        f"postgresql://x:y@z:{SECRET}/z",
        SECRET,
    ],
)
def test_an_unusable_url_names_the_setting_and_repeats_no_secret(url):
    with pytest.raises(UnavailableError, match="SIGHTGLASS_DATABASE_URL") as caught:
        Database(url)
    assert SECRET not in caught.value.detail


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_usual_ways_of_writing_postgresql_mean_the_installed_driver(scheme):
    database = Database(f"{scheme}://ada:{SECRET}@127.0.0.1:1/none")
    assert database.url.drivername == "postgresql+psycopg"
    with pytest.raises(UnavailableError, match="does not answer now") as caught:
        database.check()
    assert SECRET not in caught.value.detail + repr(database.engine) + str(database.url)
    database.close()


def test_tables_of_a_newer_version_are_left_alone_with_the_next_step(database):
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UnavailableError, match=r"'9999'.*newer version.*backup"):
        database.migrate()


def test_rows_of_the_first_version_survive_the_way_to_the_newest(empty_database):
    with empty_database.writing() as connection:
        upgrade(connection, to="0001")
        for statement in FIRST_ROWS:
            connection.exec_driver_sql(statement)
    empty_database.migrate()
    catalog, log = Catalog(empty_database), EventLog(empty_database)
    assert [info.name for info in catalog.datasets()] == ["shapes"]
    assert JobQueue(empty_database).get("job-1").created_at == datetime(2026, 1, 1, 12, tzinfo=UTC)
    (before,) = log.since("job-1")
    later = JobQueue(empty_database).request_cancel("job-1")
    assert [event.event_id for event in log.since("job-1")] == [before.event_id, before.event_id + 1]
    assert later.state == "cancelled"


FIRST_ROWS = (
    """INSERT INTO datasets (dataset_id, created_at, record)
    VALUES ('ds-1', '2026-01-01 12:00:00.000000', '{"dataset_id": "ds-1", "name": "shapes", "total_images": 1, "num_classes": 1, "class_counts": {"a": 1}, "digest": "d"}')""",
    """INSERT INTO jobs (job_id, kind, dataset_id, state, progress, stage, message, candidates, payload, attempts,
    cancel_requested, created_at) VALUES ('job-1', 'train_images', 'ds-1', 'queued', 0, 'queued', '', '[]', '{}', 0,
    false, '2026-01-01 12:00:00.000000')""",
    """INSERT INTO job_events (job_id, type, data, created_at) VALUES ('job-1', 'state', '{}',
    '2026-01-01 12:00:00.000000')""",
)
