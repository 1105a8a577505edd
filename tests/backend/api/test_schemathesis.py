"""Random requests, valid and not, against every operation that OpenAPI lists: none may end in a 5xx."""

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from backend.config import Settings

# What tus clients send is bytes under a name of its own.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# Bounded to stay below 20 s on two cores; derandomized, so that a failure comes back.
bounded = settings(
    max_examples=int(os.environ.get("SCHEMATHESIS_EXAMPLES", "5")),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def app(make_app, tmp_path_factory, new_database_url):
    folder = tmp_path_factory.mktemp("fuzz") / "data"
    return make_app(Settings(data_dir=folder, database_url=new_database_url(), max_upload_mb=1, offline=True))


@pytest.fixture(scope="module")
def known_ids(app, shapes_zip):
    """Ids of a dataset, a finished job and its model, by the names that paths give them."""
    from service_fakes import model_info, results_record

    services = app.state.services
    with TestClient(app) as client:
        dataset_id = client.post("/api/cv/upload", files={"file": shapes_zip}).json()["dataset_id"]
        image_id = client.get(f"/api/cv/datasets/{dataset_id}/images").json()["images"][0]["image_id"]
        job_id = services.queue.enqueue("train_images", {}, dataset_id=dataset_id).job_id
        services.queue.claim("w")
        services.catalog.publish(
            results_record(job_id, dataset_id=dataset_id), model_info(dataset_id=dataset_id, job_id=job_id)
        )
        services.queue.finish(job_id, worker_id="w")
    return {
        "dataset_id": dataset_id,
        "image_id": image_id,
        "upload_id": services.uploads.create(10, filename="", name="begun").upload_id,
        "job_id": job_id,
        "model_id": "md-1",
        "dataset_or_model_id": dataset_id,
    }


@pytest.fixture(scope="module")
def operations(app, known_ids):
    """Every operation but /ready, whose 503 without a worker, as here, is its very purpose."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    found = [result.ok() for result in schema.get_all_operations()]
    assert len(found) > 20
    return [operation for operation in found if operation.path != "/ready"]


def send_random_requests(operation, mode, path_parameters=None):
    @bounded
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case):
        if path_parameters is not None:
            case.path_parameters = {name: path_parameters[name] for name in case.path_parameters or {}}
        case.call_and_validate(checks=CHECKS)

    send()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.name.lower())
def test_no_request_ends_in_a_5xx_and_every_answer_is_as_documented(operations, mode):
    for operation in operations:
        has_input = operation.body or any(operation.iter_parameters())
        if has_input or mode is GenerationMode.POSITIVE:  # without any input there is nothing to get wrong
            send_random_requests(operation, mode)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.name.lower())
def test_nor_does_one_for_things_that_are_there(operations, known_ids, mode):
    for operation in operations:
        if "{" in operation.path and operation.method != "delete":
            send_random_requests(operation, mode, known_ids)
