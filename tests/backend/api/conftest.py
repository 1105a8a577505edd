import dataclasses
import io
import zipfile
from pathlib import Path

import pytest
from inline_pool import InlinePool
from PIL import Image
from starlette.testclient import TestClient

from backend.config import Settings
from backend.main import VERBS, create_app
from backend.storage.database import Database


@pytest.fixture(scope="session")
def make_app():
    import service_fakes

    verbs = dataclasses.replace(
        VERBS,
        names_of_timm=service_fakes.names_of_timm,
        check_timm_networks=service_fakes.check_timm_networks,
        explain_image=service_fakes.explain_image,
        export_model=service_fakes.export_model,
        warm_up=service_fakes.describe_machine,
        queue_check=service_fakes.queue_nothing,
    )

    def make(settings, **changes):
        return create_app(settings, verbs=dataclasses.replace(verbs, **changes), pool=InlinePool())

    return make


@pytest.fixture
def settings(tmp_path, database_url, lay_tables):
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        max_upload_mb=1,
        offline=True,
        mlflow_tracking_uri="off",  # else a promotion starts a process that loads MLflow
    )
    if database_url is None:
        lay_tables(Path(Database(settings.resolved_database_url).url.database))
    return settings


@pytest.fixture
def app(settings, make_app):
    return make_app(settings)


@pytest.fixture
def client(app):
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def services(app, client):
    return app.state.services


@pytest.fixture(scope="session")
def shared_client(make_app, tmp_path_factory, new_database_url):
    """One application for all tests that are only refused: starting one takes longer than they do."""
    folder = tmp_path_factory.mktemp("shared") / "data"
    app = make_app(Settings(data_dir=folder, database_url=new_database_url(), max_upload_mb=1, offline=True))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def shared_dataset_id(shared_client, shapes_zip):
    return shared_client.post("/api/cv/upload", files={"file": ("shapes.zip", shapes_zip)}).json()["dataset_id"]


@pytest.fixture(scope="session")
def shared_model_id(shared_client, shared_dataset_id):
    from service_fakes import model_info, results_record

    catalog = shared_client.app.state.services.catalog
    catalog.publish(results_record(dataset_id=shared_dataset_id), model_info(dataset_id=shared_dataset_id))
    return "md-1"


@pytest.fixture(scope="session")
def png():
    return picture((200, 30, 30))


def picture(colour, size=(40, 20)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def shapes_zip():
    """Two classes of ten images each, every one different."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(10):
            archive.writestr(f"shapes/circle/{number}.png", picture((number * 20, 10, 10)))
            archive.writestr(f"shapes/square/{number}.png", picture((10, number * 20, 200)))
    return buffer.getvalue()


@pytest.fixture(scope="session")
def scarce_zip(shapes_zip):
    """The two classes, and a third of two images."""
    buffer = io.BytesIO(shapes_zip)
    with zipfile.ZipFile(buffer, "a") as archive:
        for number in range(2):
            archive.writestr(f"shapes/scarce/{number}.png", picture((90, 90, number)))
    return buffer.getvalue()


@pytest.fixture
def dataset_id(client, shapes_zip):
    answer = client.post("/api/cv/upload", files={"file": ("shapes.zip", shapes_zip)})
    assert answer.status_code == 201, answer.text
    return answer.json()["dataset_id"]


@pytest.fixture
def trained(services, dataset_id):
    """A finished job with its model; returns (dataset_id, job_id, model_id)."""
    from service_fakes import model_info, results_record

    job = services.queue.enqueue("train_images", {"dataset_id": dataset_id}, dataset_id=dataset_id)
    services.queue.claim("w")
    outcome = results_record(job.job_id, dataset_id=dataset_id, model_id="md-1")
    services.catalog.publish(outcome, model_info("md-1", dataset_id=dataset_id, job_id=job.job_id))
    services.queue.finish(job.job_id, worker_id="w")
    return dataset_id, job.job_id, "md-1"
