import io
import zipfile

import pytest

PROBLEM = "application/problem+json"
BATCH = "/api/cv/predict/md-1/batch"


def zip_of(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def send(client, data, path=BATCH, **params):
    return client.post(path, files={"file": ("shots.zip", data)}, params=params)


@pytest.mark.parametrize("place", [0, 2], ids=["dataset", "model"])
def test_a_zip_becomes_a_job_that_waits_behind_no_training(client, services, trained, png, place):
    services.queue.enqueue("train_images", {})
    answer = send(client, zip_of(a=png, b=png), f"/api/cv/predict/{trained[place]}/batch", top_k=2)
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == job["links"]["self"]
    assert (job["kind"], job["queue_position"]) == ("predict_batch", 1)
    assert job["recipe"] | {"upload": ""} == {
        "model_id": "md-1", "filename": "shots.zip", "files": 2, "top_k": 2, "upload": "",
    }  # fmt: skip


def test_the_bytes_wait_for_the_worker(client, services, trained, png):
    data = zip_of(a=png)
    job = send(client, data).json()
    assert services.uploads.bytes_here(job["recipe"]["upload"]).read_bytes() == data


def test_the_table_is_downloaded_when_the_job_has_succeeded(client, services, trained, png):
    job = send(client, zip_of(a=png)).json()
    address = job["links"]["download"]
    early = client.get(address)
    assert (early.status_code, early.headers["content-type"]) == (404, PROBLEM)
    assert "queued" in early.json()["detail"]
    folder = services.settings.predictions_dir / job["job_id"]
    folder.mkdir(parents=True)
    (folder / "predictions.csv").write_text("filename,predicted\n")
    (folder / "predictions.json").write_text("{}")
    assert services.queue.claim("w", lane=services.queue.lanes[-1]).job_id == job["job_id"]
    services.queue.finish(job["job_id"], worker_id="w", message="1 of 1 pictures answered.")
    table = client.get(address, params={"format": "csv"})
    assert table.text == "filename,predicted\n"
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert f'filename="predictions-{job["job_id"]}.csv"' in table.headers["content-disposition"]
    assert client.get(address, params={"format": "json"}).json() == {}
    assert client.get(address, params={"format": "exe"}).status_code == 422
    assert client.get(f"/api/cv/jobs/{job['job_id']}").json()["message"] == "1 of 1 pictures answered."


@pytest.mark.parametrize(
    "data",
    [b"", b"no archive", zip_of(), zip_of(**{"../../x.png": b"x"}), zip_of(**{"/etc/passwd": b"x"})],
    ids=["nothing", "text", "empty", "upwards", "absolute"],
)
def test_what_is_no_safe_archive_is_refused_and_makes_no_job(shared_client, shared_model_id, data):
    answer = send(shared_client, data)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert not [job for job in shared_client.get("/api/cv/jobs").json() if job["kind"] == "predict_batch"]


def test_a_zip_over_the_limit_is_too_large(shared_client, shared_model_id):
    assert send(shared_client, b"x" * 2 * 1024 * 1024).status_code == 413


@pytest.mark.parametrize("top_k", ["0", "x", "1001"])
def test_an_impossible_top_k_is_refused(shared_client, shared_model_id, top_k):
    assert send(shared_client, zip_of(a=b"x"), top_k=top_k).status_code == 422


def test_a_job_of_another_kind_has_no_table(client, services):
    job = services.queue.enqueue("train_images", {})
    answer = client.get(f"/api/cv/jobs/{job.job_id}/download")
    assert answer.status_code == 422
    assert "train_images" in answer.json()["detail"]
    assert client.get(f"/api/cv/jobs/{job.job_id}").json()["links"]["download"] is None


def test_a_batch_keeps_nobody_from_deleting_the_dataset_nor_from_reading_its_results(client, services, trained, png):
    assert send(client, zip_of(a=png)).status_code == 202
    assert client.get(f"/api/cv/results/{trained[0]}").status_code == 200
    assert client.delete(f"/api/cv/datasets/{trained[0]}").status_code == 204


def test_the_formats_of_a_model_are_listed(client, trained):
    found = client.get("/api/cv/models/md-1/exports").json()
    assert [one["format"] for one in found] == ["pth", "onnx", "bundle", "card"]
    assert client.get("/api/cv/models/md-9/exports").status_code == 404


def test_a_model_of_several_labels_is_asked_with_thresholds_that_the_worker_gets(client, services, trained, png):
    model = services.catalog.model(trained[2])
    several = model.model_copy(update={"task": "multilabel", "thresholds": (0.5,) * len(model.class_names)})
    first, second, *_ = model.class_names
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services.catalog, "resolve_model", lambda _: several)
        answer = send(client, zip_of(a=png), miss_cost=4, false_alarm_cost=1, threshold=f"{first}=0.3")
        unknown = send(client, zip_of(a=png), threshold="no such label=0.3")
    assert answer.json()["recipe"]["thresholds"] == {first: 0.3} | dict.fromkeys(model.class_names[1:], 0.2)
    assert second in answer.json()["recipe"]["thresholds"]
    assert (unknown.status_code, unknown.headers["content-type"]) == (422, PROBLEM)
    refused = send(client, zip_of(a=png), threshold=f"{first}=0.3")
    assert (refused.status_code, refused.headers["content-type"]) == (422, PROBLEM)
    assert "one class for each image" in refused.json()["detail"]
