"""Two API processes' worth of services with data folders of their own, one database and one object storage."""

import base64

import pytest
from service_fakes import model_info, results_record
from starlette.testclient import TestClient

from backend.config import Settings
from backend.contracts import RunControl
from backend.main import VERBS
from backend.storage.folders import folders_of
from backend.workflows import import_dataset


@pytest.fixture
def pair(tmp_path, database_url, storage_url, make_app):
    """Clients of two machines."""
    address = database_url or f"sqlite:///{tmp_path / 'shared.db'}"

    def settings(name):
        return Settings(data_dir=tmp_path / name, database_url=address, storage_url=storage_url, offline=True)

    def app(name):
        return make_app(settings(name), export_model=VERBS.export_model)

    with TestClient(app("one")) as one, TestClient(app("other")) as other:
        yield one, other


def upload(client, content):
    answer = client.post("/api/cv/upload", files={"file": ("shapes.zip", content)})
    assert answer.status_code == 201, answer.text
    return answer.json()["dataset_id"]


def test_what_was_uploaded_here_is_seen_changed_and_deleted_there(pair, shapes_zip, scarce_zip):
    one, other = pair
    dataset_id = upload(one, shapes_zip)
    seen = other.get(f"/api/cv/datasets/{dataset_id}").json()
    assert seen == one.get(f"/api/cv/datasets/{dataset_id}").json()
    folder = other.app.state.services.settings.datasets_dir / dataset_id
    assert list(folder.glob("images/*")) == []  # nobody has looked at one yet
    picture = seen["samples"]["circle"][0]
    assert other.get(picture).content == one.get(picture).content
    assert len(list(folder.glob("images/*"))) == 1

    added = other.post(f"/api/cv/datasets/{dataset_id}/images", files={"file": ("more.zip", scarce_zip)})
    assert added.status_code == 201, added.text
    there = one.get(f"/api/cv/datasets/{dataset_id}").json()
    assert (there["version"], there["total_images"]) == (2, 22)
    for url in there["samples"]["scarce"]:
        assert one.get(url).status_code == 200

    assert one.delete(f"/api/cv/datasets/{dataset_id}").status_code == 204
    assert other.get(f"/api/cv/datasets/{dataset_id}").status_code == 404


def test_an_upload_in_pieces_that_came_in_here_is_imported_there(pair, shapes_zip, object_storage):
    one, other = pair
    tus = {"Tus-Resumable": "1.0.0"}
    name = base64.b64encode(b"shapes.zip").decode()
    begun = one.post(
        "/api/cv/uploads", headers={**tus, "Upload-Length": str(len(shapes_zip)), "Upload-Metadata": f"filename {name}"}
    )
    piece = {**tus, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    sent = one.patch(begun.headers["Location"], content=shapes_zip, headers=piece)
    assert sent.status_code == 204, sent.text
    services = other.app.state.services
    job = services.queue.get(sent.headers["Sightglass-Job"])
    import_dataset.run_job(job, control=RunControl(), settings=services.settings)
    dataset_id = sent.headers["Sightglass-Dataset"]
    assert one.get(f"/api/cv/datasets/{dataset_id}").json()["total_images"] == 20
    keys = object_storage.keys(services.settings.storage_url)
    assert [key for key in keys if key.startswith("uploads/")] == []
    assert list(services.settings.uploads_dir.iterdir()) == []


def test_a_model_that_was_published_here_answers_and_is_downloaded_there(pair, shapes_zip, png):
    one, other = pair
    dataset_id = upload(one, shapes_zip)
    services = one.app.state.services
    folder = services.settings.models_dir / "md-1"
    folder.mkdir()
    model = model_info("md-1", dataset_id=dataset_id)
    (folder / "model.json").write_text(model.model_dump_json())
    (folder / "model.pth").write_bytes(b"weights")
    folders_of(services.settings).publish(folder)
    services.catalog.publish(results_record(dataset_id=dataset_id), model)
    assert other.post(f"/api/cv/predict/{dataset_id}", files={"file": ("a.png", png)}).status_code == 200
    assert (other.app.state.services.settings.models_dir / "md-1" / "model.pth").read_bytes() == b"weights"
    assert other.get("/api/cv/models/md-1/download").status_code == 200


def test_the_best_epoch_of_a_model_that_was_trained_here_is_downloaded_there(pair, shapes_zip):
    one, other = pair
    dataset_id = upload(one, shapes_zip)
    services = one.app.state.services
    folder, name = services.settings.models_dir / "md-1", "best_model_epoch3_f1_0.7500.pt"
    model = model_info("md-1", dataset_id=dataset_id)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / name).write_bytes(b"weights of the third epoch")
    (folder / "model.json").write_text(model.model_dump_json())
    (folder / "model.pth").write_bytes(b"weights")
    folders_of(services.settings).publish(folder)
    services.catalog.publish(results_record(dataset_id=dataset_id), model)
    assert not (other.app.state.services.settings.models_dir / "md-1").exists()

    offered = {one["format"]: one for one in other.get("/api/cv/models/md-1/exports").json()}
    assert (offered["checkpoint"]["filename"], offered["checkpoint"]["ready"]) == (name, True)
    for asked in ("md-1", dataset_id):
        answer = other.get(f"/api/cv/models/{asked}/download?format=checkpoint")
        assert (answer.status_code, answer.content) == (200, b"weights of the third epoch")
        assert f'filename="{name}"' in answer.headers["Content-Disposition"]


def test_a_storage_that_is_down_is_503_and_leaves_nothing(pair, shapes_zip, object_storage):
    one, other = pair
    dataset_id = upload(one, shapes_zip)
    object_storage.pause()
    try:
        refused = one.post("/api/cv/upload", files={"file": ("shapes.zip", shapes_zip)})
        unseen = other.get(f"/api/cv/datasets/{dataset_id}")
        ready = one.get("/ready")
    finally:
        object_storage.resume()
    for answer in (refused, unseen, ready):
        assert answer.status_code == 503
        assert "object storage s3://sightglass-tests" in answer.json()["detail"]
    assert [info["dataset_id"] for info in other.get("/api/cv/datasets").json()] == [dataset_id]
    assert [path.name for path in one.app.state.services.settings.datasets_dir.iterdir()] == [dataset_id]
    assert other.get(f"/api/cv/datasets/{dataset_id}").status_code == 200


def test_what_was_there_before_the_storage_is_given_to_it(tmp_path, storage_url, make_app, shapes_zip):
    address = f"sqlite:///{tmp_path / 'shared.db'}"
    alone = Settings(data_dir=tmp_path / "one", database_url=address, offline=True)
    with TestClient(make_app(alone)) as client:
        dataset_id = upload(client, shapes_zip)
    stored = alone.model_copy(update={"storage_url": storage_url})
    with TestClient(make_app(stored)):
        pass
    from backend.main import _greet_storage

    services = make_app(stored).state.services
    _greet_storage(services)  # the service does it in a thread that nobody waits for
    services.folders.close()
    services.database.close()
    other = stored.model_copy(update={"data_dir": tmp_path / "other"})
    with TestClient(make_app(other)) as client:
        url = client.get(f"/api/cv/datasets/{dataset_id}").json()["samples"]["circle"][0]
        assert client.get(url).status_code == 200
