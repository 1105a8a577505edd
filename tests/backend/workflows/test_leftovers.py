import pytest

from backend.jobs.queue import JobQueue
from backend.storage.database import Database
from backend.storage.journal import FileJournal
from backend.workflows.leftovers import is_over, remove_old_journals


@pytest.fixture
def queue(settings):
    database = Database(settings.resolved_database_url)
    database.migrate()
    yield JobQueue(database)
    database.close()


def write_journal(settings, job_id):
    journal = FileJournal(settings.jobs_dir / job_id)
    journal.begin({})
    journal.note("a", {})
    journal.close()


def test_journals_go_with_their_jobs_and_those_of_living_jobs_stay(settings, queue):
    waiting, running, ended = (queue.enqueue("train_images", {}) for _ in range(3))
    queue.request_cancel(ended.job_id)
    assert queue.claim("w").job_id == waiting.job_id
    for job_id in (waiting.job_id, running.job_id, ended.job_id, "job-unknown"):
        write_journal(settings, job_id)
    assert remove_old_journals(settings) == 2
    assert {entry.name for entry in settings.jobs_dir.iterdir()} == {waiting.job_id, running.job_id}


def test_nothing_is_said_of_a_job_that_is_not_ours(settings, queue):
    job = queue.enqueue("train_images", {})
    assert not is_over(job.job_id, settings=settings)
    queue.request_cancel(job.job_id)
    assert is_over(job.job_id, settings=settings)
    assert not is_over("job-elsewhere", settings=settings)


def test_an_installation_without_jobs_has_no_leftovers(settings):
    assert remove_old_journals(settings) == 0
