import sys
from pathlib import Path

import pytest

from backend.jobs.queue import JobQueue
from backend.storage.database import Database

sys.path.insert(0, str(Path(__file__).parents[1]))  # service_fakes


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def queue(database):
    return JobQueue(database, max_attempts=2)
