"""What several rooms' tests share: a fresh database, and the fakes of the service, also for processes that tests spawn."""

import sys
from pathlib import Path

import pytest

from backend.storage.database import Database

sys.path.insert(0, str(Path(__file__).parent))  # service_fakes


@pytest.fixture
def database(tmp_path, database_url, lay_tables):
    file = tmp_path / "sub folder" / "test.db"
    if database_url is None:
        lay_tables(file)
    database = Database(database_url or f"sqlite:///{file}")
    database.migrate()
    yield database
    database.close()
