import io
import zipfile

import pytest
from PIL import Image

PROBLEM = "application/problem+json"


def upload(client, content, filename="pictures.zip", **form):
    return client.post("/api/cv/upload", files={"file": (filename, content)}, data=form)


def test_an_upload_becomes_a_dataset(client, shapes_zip):
    answer = upload(client, shapes_zip, name="My shapes")
    body = answer.json()
    assert answer.status_code == 201
    assert (body["name"], body["task"], body["version"]) == ("My shapes", "multiclass", 1)
    assert body["class_counts"] == {"circle": 10, "square": 10}
    assert (body["total_images"], body["num_classes"]) == (20, 2)
    assert body["versions"][0]["dataset_id"] == body["dataset_id"]
    assert [len(urls) for urls in body["samples"].values()] == [8, 8]


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("pictures.zip", "pictures"),
        ("C:\\Users\\me\\größe 10.zip", "größe 10"),
        ("../../etc/passwd.zip", "passwd"),
        ("a\u202eb\u0085.zip", "ab"),
        (".zip", ".zip"),
        ("x" * 500 + ".zip", "x" * 100),
    ],
)
def test_without_a_name_the_files_own_is_taken_harmlessly(client, shapes_zip, filename, name):
    assert upload(client, shapes_zip, filename).json()["name"] == name


def test_datasets_are_listed_newest_first_and_looked_at_one_by_one(client, shapes_zip):
    made = [upload(client, shapes_zip, name=f"n{number}").json()["dataset_id"] for number in range(2)]
    assert [row["dataset_id"] for row in client.get("/api/cv/datasets").json()] == made[::-1]
    assert client.get(f"/api/cv/datasets/{made[0]}").json()["name"] == "n0"


def test_sample_addresses_are_thumbnails_no_larger_than_asked(client, dataset_id):
    url = client.get(f"/api/cv/datasets/{dataset_id}").json()["samples"]["circle"][0]
    answer = client.get(url)
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (40, 20)
    small = client.get(url.partition("?")[0], params={"size": 16})
    assert Image.open(io.BytesIO(small.content)).size == (16, 8)
    assert "immutable" in small.headers["cache-control"]


def test_images_are_listed_a_part_at_a_time_and_by_class(client, dataset_id):
    base = f"/api/cv/datasets/{dataset_id}/images"
    page = client.get(base, params={"offset": 18, "limit": 5}).json()
    assert (page["total"], len(page["images"])) == (20, 2)
    circles = client.get(base, params={"class": "circle"}).json()
    assert circles["total"] == 10
    assert {row["label"] for row in circles["images"]} == {"circle"}
    refused = client.get(base, params={"class": "circel"})
    assert refused.status_code == 422
    assert "Did you mean 'circle'" in refused.json()["detail"]


def test_a_deleted_dataset_is_gone_with_its_folder(client, dataset_id, settings):
    url = client.get(f"/api/cv/datasets/{dataset_id}").json()["samples"]["circle"][0]
    assert client.delete(f"/api/cv/datasets/{dataset_id}").status_code == 204
    assert client.get(f"/api/cv/datasets/{dataset_id}").status_code == 404
    assert client.get(url).status_code == 404
    assert client.delete(f"/api/cv/datasets/{dataset_id}").status_code == 404
    assert list(settings.datasets_dir.iterdir()) == []


def test_a_dataset_in_use_cannot_be_deleted(client, services, dataset_id, settings):
    job = services.queue.enqueue("train_images", {}, dataset_id=dataset_id)
    answer = client.delete(f"/api/cv/datasets/{dataset_id}")
    assert answer.status_code == 409
    assert job.job_id in answer.json()["detail"]
    assert (settings.datasets_dir / dataset_id).is_dir()


def test_deleting_a_dataset_keeps_its_models(client, trained):
    dataset_id, _job_id, model_id = trained
    assert client.delete(f"/api/cv/datasets/{dataset_id}").status_code == 204
    assert client.get(f"/api/cv/models/{model_id}").status_code == 200


def zip_of(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"no zip at all", "ZIP"), (zip_of(**{"a/readme.txt": "hello"}), "image")],
    ids=["empty", "not a ZIP", "no images"],
)
def test_what_is_no_dataset_is_refused_and_leaves_nothing(client, settings, content, said):
    answer = upload(client, content)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert said.lower() in answer.json()["detail"].lower()
    assert list(settings.datasets_dir.iterdir()) == []


def test_an_upload_that_declares_too_much_is_refused_before_it_is_read(shared_client):
    read = []

    def body():
        for _ in range(100):
            read.append(1)
            yield b"x" * 1024

    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(50 * 1024 * 1024)}
    answer = shared_client.post("/api/cv/upload", content=body(), headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (413, PROBLEM)
    assert "1 MiB" in answer.json()["detail"]


def test_an_upload_that_does_not_say_its_size_is_refused_while_it_is_read(client, settings):
    def body():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
        for _ in range(40):
            yield b"x" * 65536
        yield b"\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = client.post("/api/cv/upload", content=body(), headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (413, PROBLEM)
    assert list(settings.datasets_dir.iterdir()) == []


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"Content-Type": "multipart/form-data"}, b"x"),
        ({"Content-Type": "multipart/form-data; boundary=b"}, b"--b\r\nbroken"),
        ({"Content-Type": "multipart/form-data; boundary=b"}, b""),
        ({"Content-Type": "multipart/form-data; boundary=b; charset=utf-7"}, b"--b\r\n\r\n\r\n--b--"),
        ({"Content-Type": "application/json"}, b"{}"),
        ({"Content-Type": "\x00"}, b"{}"),
        ({}, b"x"),
    ],
)
def test_a_malformed_form_is_a_problem_that_names_the_field_or_the_fault(shared_client, headers, content):
    answer = shared_client.post("/api/cv/upload", content=content, headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == PROBLEM
    assert len(answer.json()["detail"]) > 10


def test_a_form_with_two_files_is_refused(shared_client, shapes_zip):
    answer = shared_client.post(
        "/api/cv/upload", files=[("file", ("a.zip", shapes_zip)), ("file", ("b.zip", shapes_zip))]
    )
    assert answer.status_code == 400
    assert "files" in answer.json()["detail"]


def test_a_name_that_no_database_can_hold_is_refused(client, shapes_zip):
    boundary = "b"
    form = (
        b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n+2AA-\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n' + shapes_zip + b"\r\n--b--\r\n"
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}; charset=utf-7"}
    answer = client.post("/api/cv/upload", content=form, headers=headers)
    assert answer.status_code in (201, 400, 422)
    assert client.get("/api/cv/datasets").status_code == 200


@pytest.mark.parametrize("size", ["0", "-5", "99999", "x", "9" * 5000, "nan", "1e3"])
def test_an_impossible_thumbnail_size_is_refused(shared_client, shared_dataset_id, size):
    url = shared_client.get(f"/api/cv/datasets/{shared_dataset_id}").json()["samples"]["circle"][0].partition("?")[0]
    assert shared_client.get(url, params={"size": size}).status_code == 422


@pytest.mark.parametrize("params", [{"offset": -1}, {"limit": 0}, {"limit": -1}, {"offset": 10**30}, {"limit": "a"}])
def test_an_impossible_part_of_the_images_is_refused(shared_client, shared_dataset_id, params):
    assert shared_client.get(f"/api/cv/datasets/{shared_dataset_id}/images", params=params).status_code == 422
