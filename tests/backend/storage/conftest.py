import pytest

from backend.storage.catalog import Catalog


@pytest.fixture
def catalog(database):
    return Catalog(database)
