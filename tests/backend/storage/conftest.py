import sys
from pathlib import Path

import pytest

from backend.storage.catalog import Catalog
from backend.storage.database import Database

sys.path.insert(0, str(Path(__file__).parents[1]))  # service_fakes


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'sub folder' / 'test.db'}")
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def catalog(database):
    return Catalog(database)
