"""What PostgreSQL alone could get wrong. That the rest holds there too, `pytest --database postgresql` shows."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from service_fakes import dataset_info
from sqlalchemy import insert, select, text, update

from backend.errors import InputError, UnavailableError
from backend.jobs.events import EventLog
from backend.jobs.queue import JobQueue
from backend.storage.catalog import Catalog
from backend.storage.database import Database
from backend.storage.tables import datasets


@pytest.fixture
def url(postgresql):
    url = postgresql.create_database()
    yield url
    postgresql.drop(url)


@pytest.fixture
def database(url):
    database = Database(url)
    yield database
    database.close()


def test_read_then_write_loses_nothing_between_two_processes(database, url):
    """READ COMMITTED alone would let two writers read the same number and both write the next one."""
    with database.writing() as connection:
        connection.execute(insert(datasets).values(dataset_id="ds-1", created_at=datetime.now(UTC), record="0"))

    def count_on(_place):
        own = Database(url)
        for _ in range(25):
            with own.writing() as connection:
                seen = int(connection.scalar(select(datasets.c.record)))
                connection.execute(update(datasets).values(record=str(seen + 1)))
        own.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_on, range(4)))
    with database.reading() as connection:
        assert connection.scalar(select(datasets.c.record)) == "100"


def test_adding_the_same_row_at_once_leaves_one(url):
    doors = [Database(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda door: Catalog(door).add_dataset(dataset_info()), doors))
    assert len(Catalog(doors[0]).datasets()) == 1
    for door in doors:
        door.close()


def test_a_watcher_never_passes_an_event_by(database, url):
    """Ids are given in the order of commits: else a watcher who saw 5 would never see a 4 that was committed later."""
    jobs = [JobQueue(database).enqueue("k", {}).job_id for _ in range(4)]
    done = threading.Event()

    def work(job_id):
        own = Database(url)
        queue = JobQueue(own)
        for _ in range(10):
            queue.request_cancel(job_id)
            with own.writing() as connection:
                connection.execute(text("UPDATE jobs SET state = 'queued', cancel_requested = false"))
        own.close()

    def watch():
        own, seen = Database(url), []
        while not done.is_set():
            with own.reading() as connection:
                ids = connection.scalars(text("SELECT event_id FROM job_events ORDER BY event_id")).all()
                late = [number for number in ids if seen and number < seen[-1] and number not in set(seen)]
            assert late == []
            seen = list(ids)
        own.close()

    with ThreadPoolExecutor(5) as pool:
        watching = pool.submit(watch)
        list(pool.map(work, jobs))
        done.set()
        watching.result()
    assert len(EventLog(database).since(jobs[0])) > 1


def test_moments_are_utc_whatever_the_server_s_time_zone(database):
    moment = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    Catalog(database).add_dataset(dataset_info(created_at=moment))
    with database.reading() as connection:
        assert connection.scalar(text("SHOW timezone")) == "Asia/Kathmandu"
        assert connection.scalar(select(datasets.c.created_at)) == moment


def test_nul_and_half_characters_in_a_text_do_not_lose_the_job_s_end(database):
    queue = JobQueue(database)
    job = queue.enqueue("k", {"name": "a\x00b"})
    queue.claim("w")
    queue.fail(job.job_id, "no \x00 file \ud800", worker_id="w")
    found = queue.get(job.job_id)
    assert (found.state, found.error) == ("failed", "no \N{REPLACEMENT CHARACTER} file ?")
    assert found.payload == {"name": "a\x00b"}


def test_nul_in_a_question_is_the_asker_s_fault(database):
    with pytest.raises(InputError, match="NUL"):
        JobQueue(database).list(dataset_id="a\x00b")


def test_a_waiting_writer_gives_up_with_a_sentence(database, url):
    other = Database(url)
    with database.writing(), pytest.raises(UnavailableError, match="lock timeout"), other.writing(wait_ms=50):
        pass
    other.close()


def test_readers_wait_for_nobody_and_see_one_state(database, url):
    other = Database(url)
    with database.writing() as writer, other.reading() as reader:
        before = reader.scalar(text("SELECT COUNT(*) FROM datasets"))
        writer.execute(insert(datasets).values(dataset_id="ds-1", created_at=datetime.now(UTC), record="{}"))
        writer.commit()
        assert reader.scalar(text("SELECT COUNT(*) FROM datasets")) == before == 0
    other.close()


def test_a_restarted_server_costs_nobody_an_error(postgresql, database):
    queue = JobQueue(database)
    job = queue.enqueue("k", {})
    postgresql.stop()
    with pytest.raises(UnavailableError, match="does not answer now"):
        queue.get(job.job_id)
    postgresql.start()
    assert queue.get(job.job_id) == job
    assert queue.claim("w").job_id == job.job_id


def test_a_password_with_every_odd_character_opens_the_door(postgresql, url):
    database = Database(postgresql.guarded(url))
    database.check()
    database.close()


def test_a_wrong_password_is_said_without_repeating_it(postgresql, url):
    database = Database(postgresql.guarded(url, password="wr0ng/"))
    with pytest.raises(UnavailableError, match="password authentication failed") as caught:
        database.migrate()
    assert "wr0ng" not in caught.value.detail + str(caught.value.__cause__) + repr(database.engine)
    database.close()


def test_event_ids_outlast_32_bits(database):
    with database.writing() as connection:
        connection.execute(text(f"SELECT setval('job_events_event_id_seq', {2**31})"))
    job = JobQueue(database).enqueue("k", {})
    assert EventLog(database).since(job.job_id)[0].event_id == 2**31 + 1
