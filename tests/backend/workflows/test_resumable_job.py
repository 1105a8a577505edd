"""What becomes of a job's journal at each end that the job may have."""

import pytest

from backend.contracts import Job, RunControl
from backend.errors import JobCancelled, TableError
from backend.storage.database import Database
from backend.workflows.resumable_job import resumable

JOB = Job(job_id="job-0123456789", kind="train_table", payload={})


@pytest.fixture
def attempt(settings):
    """One attempt at the job, which writes something down and then ends as is said."""
    database = Database(settings.resolved_database_url)
    database.migrate()

    def run(end=None, control=None):
        with resumable(JOB, database, settings=settings, control=control or RunControl()) as journal:
            journal.begin({})
            journal.note("seen", {})
            try:
                if end is not None:
                    raise end
            finally:
                journal.close()

    yield run
    database.close()


def test_after_the_end_nothing_is_left(attempt, settings):
    attempt()
    assert not (settings.jobs_dir / JOB.job_id).exists()


def test_nobody_goes_on_from_a_failure(attempt, settings):
    with pytest.raises(TableError):
        attempt(TableError("no table"))
    assert not (settings.jobs_dir / JOB.job_id).exists()


@pytest.mark.parametrize("end", [JobCancelled("taken over"), KeyboardInterrupt()])
def test_whoever_is_stopped_from_outside_can_be_followed(attempt, settings, end):
    with pytest.raises(type(end)):
        attempt(end)
    assert (settings.jobs_dir / JOB.job_id / "journal" / "seen.npz").is_file()


def test_a_job_that_was_cancelled_with_something_to_keep_ends_as_cancelled(attempt, settings):
    control = RunControl(cancelled=lambda: True)
    control.keep_what_is_done()
    control.check()
    with pytest.raises(JobCancelled, match="what had finished is kept"):
        attempt(control=control)
    assert not (settings.jobs_dir / JOB.job_id).exists()
