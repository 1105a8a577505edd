"""Imports of what lies on the server: only below the allowed folders, whatever links and dots say."""

import pytest
from starlette.testclient import TestClient

from backend.config import Settings
from backend.contracts import RunControl
from backend.main import HANDLERS


@pytest.fixture
def roots(tmp_path, shapes_zip):
    root = tmp_path / "allowed"
    root.mkdir()
    (root / "shapes.zip").write_bytes(shapes_zip)
    for label in ("cat", "dog"):
        (root / "pets" / label).mkdir(parents=True)
        for number in range(3):
            (root / "pets" / label / f"{number}.png").write_bytes(_png(label, number))
    outside = tmp_path / "secret"
    outside.mkdir()
    (outside / "1.png").write_bytes(_png("cat", 9))
    (root / "way-out").symlink_to(outside)
    (root / "pets" / "cat" / "way-out.png").symlink_to(outside / "1.png")
    (root / "pets" / "cat" / "folder-out").symlink_to(outside)
    return root


def _png(label, number):
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (number * 40, 90 if label == "cat" else 10, 7)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def settings(tmp_path, roots):
    return Settings(data_dir=tmp_path / "data", offline=True, import_roots=str(roots))


def run(services, settings):
    job = services.queue.claim("w")
    HANDLERS[job.kind](job, control=RunControl(), settings=settings)
    services.queue.finish(job.job_id, worker_id="w")
    return job


@pytest.mark.parametrize(
    ("path", "name", "images"), [("pets", "pets", 6), ("shapes.zip", "shapes", 20), ("./pets/../pets", "pets", 6)]
)
def test_a_folder_or_archive_becomes_a_dataset(client, services, settings, path, name, images):
    answer = client.post("/api/cv/import", json={"path": path})
    assert answer.status_code == 202, answer.text
    view = answer.json()
    assert view["kind"] == "import_dataset"
    run(services, settings)
    dataset = client.get(f"/api/cv/datasets/{view['dataset_id']}").json()
    assert (dataset["name"], dataset["total_images"], dataset["num_classes"]) == (name, images, 2)


def test_links_within_the_folder_lead_nowhere(client, services, settings):
    client.post("/api/cv/import", json={"path": "pets", "name": "mine"})
    job = run(services, settings)
    dataset = client.get(f"/api/cv/datasets/{job.dataset_id}").json()
    assert dataset["name"] == "mine"
    assert dataset["total_images"] == 6
    assert any("not followed" in entry["reason"] for entry in dataset["skipped"])


@pytest.mark.parametrize("path", ["/etc", "/etc/passwd", "/", "/no/such/place"])
def test_what_lies_outside_is_refused_without_saying_whether_it_is_there(client, path):
    answer = client.post("/api/cv/import", json={"path": path})
    assert answer.status_code == 422
    assert "lies outside" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path", ["..", "../secret", "way-out", "pets/cat/folder-out", "gone", "a\x00b", "x" * 4000, "~"]
)
def test_no_way_leads_out(client, services, path):
    answer = client.post("/api/cv/import", json={"path": path})
    assert answer.status_code == 404, answer.text
    assert services.queue.counts()["queued"] == 0


def test_an_absolute_path_may_not_climb_out(client, roots):
    assert client.post("/api/cv/import", json={"path": f"{roots}/../secret"}).status_code == 404
    assert client.post("/api/cv/import", json={"path": f"{roots}/pets"}).status_code == 202


def test_a_path_that_was_exchanged_for_a_link_is_refused_by_the_job(client, services, settings, roots):
    client.post("/api/cv/import", json={"path": "shapes.zip"})
    (roots / "shapes.zip").unlink()
    (roots / "shapes.zip").symlink_to("/etc/passwd")
    with pytest.raises(Exception, match="There is no"):
        run(services, settings)


def test_without_roots_nothing_is_imported(make_app, tmp_path):
    with TestClient(make_app(Settings(data_dir=tmp_path / "other", offline=True))) as client:
        answer = client.post("/api/cv/import", json={"path": "/etc"})
        assert answer.status_code == 422
        assert "SIGHTGLASS_IMPORT_ROOTS" in answer.json()["detail"]


def test_a_job_that_is_run_again_finds_its_dataset(client, services, settings):
    client.post("/api/cv/import", json={"path": "pets"})
    job = services.queue.claim("w")
    for _ in range(2):
        HANDLERS[job.kind](job, control=RunControl(), settings=settings)
    assert len(client.get("/api/cv/datasets").json()) == 1


def test_a_job_that_died_half_way_is_done_again(client, services, settings):
    client.post("/api/cv/import", json={"path": "pets"})
    job = services.queue.claim("w")
    (settings.datasets_dir / job.dataset_id).mkdir()
    HANDLERS[job.kind](job, control=RunControl(), settings=settings)
    assert client.get(f"/api/cv/datasets/{job.dataset_id}").json()["total_images"] == 6


def test_the_options_name_roots_and_formats(client, roots):
    options = client.get("/api/cv/options").json()
    assert options["import_roots"] == [str(roots)]
    assert ".tar.gz" in options["upload_formats"]
