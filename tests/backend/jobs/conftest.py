import pytest

from backend.jobs.queue import JobQueue


@pytest.fixture
def queue(database):
    return JobQueue(database, max_attempts=2)
