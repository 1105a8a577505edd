"""Versions through HTTP: what is changed, what is refused, and that old versions stay as they were."""

import io
import threading
import zipfile

import pytest
from PIL import Image
from starlette.testclient import TestClient

from backend.config import Settings


@pytest.fixture
def ids(client, dataset_id):
    """Image ids by class."""
    images = client.get(f"/api/cv/datasets/{dataset_id}/images").json()["images"]
    return {label: [one["image_id"] for one in images if one["label"] == label] for label in ("circle", "square")}


def picture(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 20), colour).save(buffer, "PNG")
    return buffer.getvalue()


def packed(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def change(client, dataset_id, **body):
    return client.post(f"/api/cv/datasets/{dataset_id}/changes", json=body)


def add(client, dataset_id, members, **form):
    files = {"file": ("more.zip", packed(members))}
    return client.post(f"/api/cv/datasets/{dataset_id}/images", files=files, data=form)


def dataset(client, dataset_id, **params):
    answer = client.get(f"/api/cv/datasets/{dataset_id}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_correction_makes_a_new_version_and_leaves_the_old_one(client, dataset_id, ids):
    answer = change(
        client,
        dataset_id,
        exclude=ids["circle"][:2],
        relabel={ids["square"][0]: "circle"},
        base_version=1,
        author="Ada",
    )
    assert answer.status_code == 201, answer.text
    new = answer.json()
    assert (new["dataset_id"], new["version"], new["excluded_images"]) == (dataset_id, 2, 2)
    assert new["class_counts"] == {"circle": 9, "square": 9}
    assert {key: new["change"][key] for key in ("author", "excluded", "relabelled", "added", "base_version")} == {
        "author": "Ada",
        "excluded": 2,
        "relabelled": 1,
        "added": 0,
        "base_version": 1,
    }
    assert [entry["version"] for entry in dataset(client, dataset_id)["versions"]] == [1, 2]
    assert client.get("/api/cv/datasets").json()[0]["version"] == 2
    old = dataset(client, dataset_id, version=1)
    assert (old["version"], old["class_counts"]) == (1, {"circle": 10, "square": 10})


def test_every_question_about_images_can_be_asked_of_a_version(client, dataset_id, ids):
    out = ids["circle"][0]
    change(client, dataset_id, exclude=[out], relabel={ids["square"][0]: "circle"})
    base = f"/api/cv/datasets/{dataset_id}/images"
    assert client.get(base, params={"class": "circle"}).json()["total"] == 10
    assert client.get(base, params={"class": "square", "version": 1}).json()["total"] == 10
    hidden = client.get(base, params={"excluded": True}).json()
    assert [one["image_id"] for one in hidden["images"]] == [out]
    assert client.get(base, params={"excluded": True, "version": 1}).json()["total"] == 0
    assert client.get(f"{base}/{out}").status_code == 200, "an excluded image can be looked at, to take it back"
    assert client.get(base, params={"version": 3}).status_code == 404


def test_the_difference_of_two_versions(client, dataset_id, ids):
    change(client, dataset_id, exclude=ids["circle"][:2])
    change(client, dataset_id, restore=ids["circle"][:1], relabel={ids["square"][0]: "circle"})
    address = f"/api/cv/datasets/{dataset_id}/diff"
    last = client.get(address).json()
    assert (last["from_version"], last["to_version"]) == (2, 3)
    assert last["counts"] == {"added": 0, "excluded": 0, "restored": 1, "relabelled": 1}
    [relabelled] = last["relabelled"]
    assert relabelled.pop("file").startswith("shapes/square/"), "its name in the upload"
    assert relabelled == {"image_id": ids["square"][0], "labels": ["circle"], "before": ["square"]}
    whole = client.get(address, params={"from": 1, "to": 3}).json()
    assert whole["counts"] == {"added": 0, "excluded": 1, "restored": 0, "relabelled": 1}
    assert whole["excluded"][0]["image_id"] == ids["circle"][1]
    assert client.get(address, params={"from": 3, "to": 1}).status_code == 422
    assert client.get(address, params={"from": 1, "to": 9}).status_code == 404


def test_undoing_gives_the_same_dataset_again(client, dataset_id, ids):
    before = dataset(client, dataset_id)["digest"]
    change(client, dataset_id, exclude=ids["circle"][:1], relabel={ids["square"][0]: "circle"})
    undone = change(client, dataset_id, restore=ids["circle"][:1], relabel={ids["square"][0]: "square"}).json()
    assert (undone["version"], undone["digest"]) == (3, before)


def test_somebody_who_looked_at_an_old_version_is_told_the_true_one(client, dataset_id, ids):
    assert change(client, dataset_id, exclude=ids["circle"][:1], base_version=1).status_code == 201
    late = change(client, dataset_id, exclude=ids["circle"][1:2], base_version=1)
    assert (late.status_code, late.json()["version"]) == (409, 2)
    assert "base_version 2" in late.json()["detail"]
    assert add(client, dataset_id, {"circle/new.png": picture((1, 2, 3))}, base_version="1").status_code == 409
    assert dataset(client, dataset_id)["total_images"] == 19
    assert change(client, dataset_id, exclude=ids["circle"][1:2], base_version=2).status_code == 201


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 422, "No change was named"),
        ({"exclude": ["nobody"]}, 404, "no image 'nobody'"),
        ({"exclude": "all"}, 422, "valid list"),
        ({"relabel": {"nobody": 3}}, 422, "relabel"),
        ({"exclud": []}, 422, "Did you mean 'exclude'"),
        ({"exclude": ["nobody"], "base_version": 0}, 422, "base_version"),
        ({"exclude": ["nobody"], "base_version": 7}, 409, "at version 1"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused_and_nothing_is_lost(client, dataset_id, body, status, said):
    answer = client.post(f"/api/cv/datasets/{dataset_id}/changes", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert said in answer.json()["detail"]
    assert dataset(client, dataset_id)["version"] == 1


def test_a_class_is_not_emptied_by_mistake(client, dataset_id, ids):
    answer = change(client, dataset_id, exclude=ids["circle"][:8])
    assert answer.status_code == 422
    assert "'circle' would be left with 2 images" in answer.json()["detail"]


@pytest.mark.parametrize("unknown", ["ds-none", "No Id!"])
def test_a_dataset_that_is_not_there_cannot_be_changed(client, unknown):
    assert change(client, unknown, exclude=["a"]).status_code == 404
    assert add(client, unknown, {"a/b.png": picture((1, 2, 3))}).status_code == 404
    assert client.get(f"/api/cv/datasets/{unknown}/diff").status_code == 404


def test_images_are_added_once_and_a_new_class_is_said(client, dataset_id, shapes_zip, settings):
    with zipfile.ZipFile(io.BytesIO(shapes_zip)) as archive:
        known = archive.read("shapes/circle/3.png")
    members = {"star/1.png": picture((250, 0, 0)), "circle/x.png": known, "circle/new.png": picture((1, 99, 3))}
    answer = add(client, dataset_id, members | {"notes.txt": b"no picture"})
    assert answer.status_code == 201, answer.text
    new = answer.json()
    assert (new["version"], new["class_counts"]) == (2, {"circle": 11, "square": 10, "star": 1})
    assert (new["change"]["added"], new["change"]["new_classes"], new["change"]["kind"]) == (2, ["star"], "images")
    assert sorted(entry["file"] for entry in new["skipped"]) == ["circle/x.png", "notes.txt"]
    assert "there already, as 'circle'" in " ".join(entry["reason"] for entry in new["skipped"])
    added = client.get(f"/api/cv/datasets/{dataset_id}/images", params={"class": "star"}).json()["images"][0]
    assert added["file"] == "star/1.png"
    assert client.get(added["url"]).status_code == 200
    assert dataset(client, dataset_id, version=1)["total_images"] == 20
    [pack] = (settings.datasets_dir / dataset_id / "versions" / "2" / "images").iterdir()
    stored = sum(len(members[name]) for name in ("star/1.png", "circle/new.png"))
    assert pack.stat().st_size == stored, "a picture that was there already is not stored again"


@pytest.mark.parametrize(
    ("members", "said"),
    [({"a.txt": b"x"}, "no usable images were found"), ({}, ""), ({"circle/x.png": b"no picture"}, "no usable")],
)
def test_a_zip_with_nothing_new_is_refused(client, dataset_id, members, said, settings):
    answer = add(client, dataset_id, members)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert dataset(client, dataset_id)["version"] == 1
    assert list((settings.datasets_dir / dataset_id / "versions").iterdir()) == [], "nothing may be left behind"


def test_the_same_zip_twice_adds_nothing(client, dataset_id):
    members = {"circle/new.png": picture((1, 99, 3))}
    assert add(client, dataset_id, members).status_code == 201
    again = add(client, dataset_id, members)
    assert again.status_code == 422
    assert "its only picture is there already" in again.json()["detail"]


def test_a_key_is_named_in_the_history_and_not_told(make_app, tmp_path, shapes_zip):
    settings = Settings(data_dir=tmp_path / "keyed", api_keys=["secret-key-1"], offline=True)
    with TestClient(make_app(settings), headers={"X-API-Key": "secret-key-1"}) as client:
        dataset_id = client.post("/api/cv/upload", files={"file": ("shapes.zip", shapes_zip)}).json()["dataset_id"]
        image = client.get(f"/api/cv/datasets/{dataset_id}/images").json()["images"][0]["image_id"]
        made = change(client, dataset_id, exclude=[image], author="Ada").json()["change"]
    assert made["author"].startswith("Ada (key ")
    assert "secret" not in made["author"]


def test_deleting_a_dataset_takes_all_versions(client, dataset_id, ids, settings):
    change(client, dataset_id, exclude=ids["circle"][:1])
    assert client.delete(f"/api/cv/datasets/{dataset_id}").status_code == 204
    assert not (settings.datasets_dir / dataset_id).exists()
    assert client.get(f"/api/cv/datasets/{dataset_id}", params={"version": 1}).status_code == 404


def test_a_training_is_queued_for_the_version_of_that_moment(client, dataset_id, ids):
    def start(**body):
        return client.post("/api/cv/train/start", json={"dataset_id": dataset_id, **body})

    assert start().json()["recipe"]["dataset_version"] == 1
    change(client, dataset_id, exclude=ids["circle"][:1])
    assert start().json()["recipe"]["dataset_version"] == 2
    assert start(dataset_version=1).json()["recipe"]["dataset_version"] == 1
    assert start(dataset_version=3).status_code == 404
    assert start(dataset_version=True).status_code == 422


def test_results_of_a_version(client, services, trained, ids):
    dataset_id, job_id, _ = trained
    assert client.get(f"/api/cv/results/{dataset_id}", params={"version": 1}).json()["job_id"] == job_id
    change(client, dataset_id, exclude=ids["circle"][:1])
    missing = client.get(f"/api/cv/results/{dataset_id}", params={"version": 2})
    assert missing.status_code == 404
    assert "Version 2 of dataset" in missing.json()["detail"]
    assert client.get(f"/api/cv/results/{dataset_id}").json()["dataset_version"] == 1
    assert client.get(f"/api/cv/results/{dataset_id}", params={"version": 9}).status_code == 404


def test_two_api_processes_at_once_lose_no_change(make_app, settings, dataset_id, ids, client):
    """Two applications on one data folder, as two processes have it: no lock of one is seen by the other."""
    start = threading.Barrier(4)
    answers = []

    def work(own, image_id):
        start.wait()
        answers.append(change(own, dataset_id, exclude=[image_id]).status_code)

    with TestClient(make_app(settings)) as second:
        for own in (
            client,
            second,
        ):  # FastAPI makes routes ready as it passes them, under filters of warnings for all threads
            assert own.get("/api/cv/no-such-thing").status_code == 404
        threads = [
            threading.Thread(target=work, args=(own, image_id))
            for own, image_id in zip((client, second, client, second), ids["circle"][:4], strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [201] * 4
        for own in (client, second):
            seen = dataset(own, dataset_id)
            assert (seen["version"], seen["total_images"], seen["excluded_images"]) == (5, 16, 4)


def test_what_a_dying_process_left_is_replaced(client, dataset_id, ids, settings):
    """A process that dies between the rename and the commit leaves a folder that the catalogue does not know."""
    orphan = settings.datasets_dir / dataset_id / "versions" / "2"
    orphan.mkdir(parents=True)
    (orphan / "dataset.json").write_text("{}")
    assert dataset(client, dataset_id)["version"] == 1
    assert change(client, dataset_id, exclude=ids["circle"][:1]).status_code == 201
    assert dataset(client, dataset_id)["total_images"] == 19
