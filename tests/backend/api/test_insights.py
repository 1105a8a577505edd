import io
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageFilter
from pydantic_core import to_json
from starlette.testclient import TestClient

from backend.contracts import Job, RunControl
from backend.main import VERBS
from backend.workflows import check_quality


def photo(seed, *, side=48):
    noise = np.random.default_rng(seed)
    layers = [
        np.asarray(Image.fromarray(noise.integers(0, 256, (cells, cells, 3), dtype=np.uint8)).resize((side, side), 3))
        for cells in (3, 7, 24)
    ]
    return Image.fromarray(np.mean(layers, axis=0).astype(np.uint8))


def encoded(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def flawed_zip():
    """Thirty sound pictures in two classes, and one of each flaw."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(30):
            archive.writestr(f"set/{'cat' if number % 2 else 'dog'}/{number}.png", encoded(photo(number)))
        archive.writestr("set/dog/copy.png", encoded(photo(0)))
        archive.writestr("set/cat/again.jpg", encoded(photo(1), "JPEG", quality=80))
        archive.writestr("set/cat/of_a_dog.png", encoded(photo(2)))
        archive.writestr("set/cat/blurred.png", encoded(photo(90).filter(ImageFilter.GaussianBlur(4))))
        archive.writestr("set/cat/night.png", encoded(photo(91).point(lambda value: value // 10)))
        archive.writestr("set/dog/broken.jpg", encoded(photo(92), "JPEG")[:300])
        archive.writestr("set/dog/panorama.png", encoded(photo(93).resize((400, 20))))
        archive.writestr("set/dog/notes.txt", b"not a picture")
    return buffer.getvalue()


@pytest.fixture
def checked_client(settings, make_app):
    with TestClient(make_app(settings, queue_check=VERBS.queue_check), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def flawed_id(checked_client, flawed_zip):
    answer = checked_client.post("/api/cv/upload", files={"file": ("flawed.zip", flawed_zip)})
    assert answer.status_code == 201, answer.text
    return answer.json()["dataset_id"]


def run_checks(client, settings):
    """A worker's part: every check that waits."""
    queue = client.app.state.services.queue
    while (job := queue.claim("w")) is not None:
        assert job.kind == check_quality.JOB_KIND
        check_quality.run_job(job, control=RunControl(), settings=settings)
        queue.finish(job.job_id, worker_id="w")


def insights_of(client, dataset_id, **query):
    answer = client.get(f"/api/cv/datasets/{dataset_id}/insights", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_insights_are_there_at_once_and_issues_after_the_check(checked_client, settings, flawed_id):
    before = insights_of(checked_client, flawed_id)
    assert before["quality"] == "pending"
    assert [one["file"] for one in before["issues"]["corrupt"]] == ["set/dog/broken.jpg"]
    assert before["class_counts"] == {"cat": 19, "dog": 17}
    assert before["imbalance_ratio"] == pytest.approx(19 / 17, abs=0.001)
    assert before["dimensions"]["width"]["min"] == before["dimensions"]["width"]["median"] == 48
    assert before["dimensions"]["aspect_ratio"]["max"] == 20
    assert sum(before["dimensions"]["height"]["histogram"]["counts"]) == 36
    assert before["formats"] == {"PNG": 35, "JPEG": 1}
    assert before["modes"] == {"RGB": 36}
    assert checked_client.get(before["samples"]["cat"][0]).headers["content-type"] == "image/jpeg"

    run_checks(checked_client, settings)
    after = insights_of(checked_client, flawed_id)
    assert after["quality"] == "checked"
    issues = after["issues"]
    assert [len(group) for group in issues["exact_duplicates"]] == [2, 2]
    assert [len(group) for group in issues["near_duplicates"]] == [2]
    assert len(issues["conflicting_labels"]) == 2
    assert after["conflicts"][0]["labels"] in (["cat", "dog"], ["dog", "cat"])
    assert (len(issues["blurry"]), len(issues["dark"]), len(issues["odd_size"])) == (1, 1, 1)
    assert issues["bright"] == issues["low_information"] == []
    assert set(issues["small_classes"]) == {"cat", "dog"}
    assert {note["kind"]: note["images"] for note in after["notes"]}["near_duplicates"] == 2
    assert all(len(note["advice"]) > 20 for note in after["notes"])


def test_a_gallery_shows_the_images_with_one_issue(checked_client, settings, flawed_id):
    run_checks(checked_client, settings)
    issues = insights_of(checked_client, flawed_id)["issues"]
    path = f"/api/cv/datasets/{flawed_id}/images"
    dark = checked_client.get(path, params={"issue": "dark"}).json()
    assert [image["image_id"] for image in dark["images"]] == issues["dark"]
    page = checked_client.get(path, params={"issue": "exact_duplicates", "offset": 1, "limit": 2}).json()
    flat = [image_id for group in issues["exact_duplicates"] for image_id in group]
    assert (page["total"], [image["image_id"] for image in page["images"]]) == (4, flat[1:3])
    assert checked_client.get(path, params={"issue": "ugly"}).status_code == 422


def test_a_new_version_has_insights_of_its_own_and_is_checked(checked_client, settings, flawed_id):
    run_checks(checked_client, settings)
    dark = insights_of(checked_client, flawed_id)["issues"]["dark"]
    changed = checked_client.post(f"/api/cv/datasets/{flawed_id}/changes", json={"exclude": dark, "base_version": 1})
    assert changed.status_code == 201, changed.text
    assert (insights_of(checked_client, flawed_id)["version"], insights_of(checked_client, flawed_id)["quality"]) == (
        2,
        "pending",
    )
    run_checks(checked_client, settings)
    newest = insights_of(checked_client, flawed_id)
    assert (newest["issues"]["dark"], newest["total_images"]) == ([], 35)
    assert insights_of(checked_client, flawed_id, version=1)["issues"]["dark"] == dark
    missing = checked_client.get(f"/api/cv/datasets/{flawed_id}/insights", params={"version": 7})
    assert (missing.status_code, "it has 1, 2" in missing.json()["detail"]) == (404, True)


def test_a_dataset_without_facts_gets_them_by_a_check(checked_client, settings, flawed_id):
    """Folders from before facts were kept: no `facts` in the items, no insights beside them."""
    run_checks(checked_client, settings)
    whole = insights_of(checked_client, flawed_id)
    folder = settings.datasets_dir / flawed_id
    (folder / "insights.json").unlink()
    dataset = checked_client.app.state.services.shelf.get(flawed_id).dataset
    bare = [to_json(item.model_copy(update={"facts": None})) + b"\n" for item in dataset.items]
    (folder / "items.jsonl").write_bytes(b"".join(bare))
    (folder / "items.npz").unlink()
    assert insights_of(checked_client, flawed_id)["quality"] == "unavailable"
    assert checked_client.post(f"/api/cv/datasets/{flawed_id}/check").status_code == 202
    run_checks(checked_client, settings)
    again = insights_of(checked_client, flawed_id)
    assert again["issues"] == whole["issues"]
    assert again["formats"] == whole["formats"]


def test_a_check_does_not_stand_in_the_way_of_deleting(checked_client, settings, flawed_id):
    assert checked_client.delete(f"/api/cv/datasets/{flawed_id}").status_code == 204
    run_checks(checked_client, settings)
    assert not (settings.datasets_dir / flawed_id).exists()


def test_a_check_of_a_dataset_that_goes_meanwhile_leaves_no_folder(checked_client, settings, flawed_id):
    job = Job(job_id="job-late", kind="check_quality", dataset_id=flawed_id, payload={"dataset_id": flawed_id})

    def delete(_):
        checked_client.delete(f"/api/cv/datasets/{flawed_id}")

    check_quality.run_job(job, control=RunControl(report=delete), settings=settings)
    assert not (settings.datasets_dir / flawed_id).exists()


def test_insights_of_nothing_are_not_found(checked_client):
    assert checked_client.get("/api/cv/datasets/ds-none/insights").status_code == 404
    assert checked_client.post("/api/cv/datasets/ds-none/check").status_code == 404
