import pytest

from backend.storage.catalog import Catalog
from backend.storage.database import Database


@pytest.fixture
def catalog(database):
    return Catalog(database)


@pytest.fixture
def empty_database(tmp_path, request):
    """A database without tables."""
    if request.config.getoption("--database") == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
        yield database
        database.close()
        return
    server = request.getfixturevalue("postgresql")
    url = server.empty_database()
    database = Database(url)
    yield database
    database.close()
    server.drop(url)
