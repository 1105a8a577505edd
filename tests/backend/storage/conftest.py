import pytest

from backend.storage.catalog import Catalog
from backend.storage.database import Database
from backend.storage.model_registry import ModelRegistry


@pytest.fixture
def catalog(database):
    return Catalog(database)


@pytest.fixture
def registry(database):
    return ModelRegistry(database)


@pytest.fixture
def add_model(catalog):
    """Publish a model with a job of its own, as a training does."""
    from service_fakes import model_info, results_record

    def add(number, dataset_id="ds-1"):
        model_id, job_id = f"md-{number}", f"job-{number}"
        model = model_info(model_id, job_id=job_id, dataset_id=dataset_id)
        catalog.publish(results_record(job_id, model_id=model_id, dataset_id=dataset_id), model)
        return model_id

    return add


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
