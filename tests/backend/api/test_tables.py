"""Tables over HTTP: the whole way, and what is refused."""

import csv
import io
import json
import threading
import zipfile

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from backend.config import Settings
from backend.contracts import RunControl
from backend.errors import SightglassError
from backend.workflows import import_table, train_table


def people(rows=80):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"city": generator.choice(["Ulm", "Bonn"], rows), "age": generator.integers(18, 90, rows)})
    frame["buys"] = np.where(frame["city"] == "Ulm", "yes", "no")
    return frame


def as_csv(frame):
    return frame.to_csv(index=False).encode()


def send(client, content, name="people.csv"):
    return client.post("/api/tabular/upload", files={"file": (name, content)})


@pytest.fixture
def table_id(client):
    answer = send(client, as_csv(people()))
    assert answer.status_code == 201, answer.text
    return answer.json()["dataset_id"]


@pytest.fixture
def model(client, services, settings, table_id):
    """A trained model: the worker's handler run here. Returns (table's id, job's id)."""
    return trained(client, services, settings, table_id)


def trained(client, services, settings, table_id):
    recipe = {"dataset_id": table_id, "target": "buys", "models": ["linear"], "time_budget_s": 5}
    started = client.post("/api/tabular/train/start", json=recipe)
    assert started.status_code == 202, started.text
    job = services.queue.claim("w")
    train_table.run_job(job, control=RunControl(), settings=settings)
    services.queue.finish(job.job_id, worker_id="w")
    return table_id, job.job_id


@pytest.fixture(scope="module")
def shared(make_app, tmp_path_factory, new_database_url):
    """One trained model for all tests that are only refused; returns (client, table's id)."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("tables") / "data",
        database_url=new_database_url(),
        offline=True,
        mlflow_tracking_uri="off",
    )
    with TestClient(make_app(settings), raise_server_exceptions=False) as client:
        table_id = send(client, as_csv(people())).json()["dataset_id"]
        yield client, trained(client, client.app.state.services, settings, table_id)[0]


def test_an_upload_says_what_the_columns_are(client, table_id):
    table = client.get(f"/api/tabular/datasets/{table_id}").json()
    assert {column["name"]: column["kind"] for column in table["columns"]} == {
        "city": "category",
        "age": "number",
        "buys": "boolean",
    }
    assert table["rows"] == 80
    assert table["preview"][0].keys() == {"city", "age", "buys"}
    assert [one["dataset_id"] for one in client.get("/api/tabular/datasets").json()] == [table_id]


def work_off(services, settings, handler):
    """The worker's part, here: take the oldest job and end it as a worker would."""
    job = None
    while job is None:
        job = services.queue.claim("w")
    try:
        handler(job, control=RunControl(), settings=settings)
    except SightglassError as error:
        services.queue.fail(job.job_id, worker_id="w", error=error.detail)
    else:
        services.queue.finish(job.job_id, worker_id="w")
    return job


@pytest.fixture
def large(monkeypatch):
    """Every file is a large one."""
    monkeypatch.setattr("backend.api.routes.tables.LARGE_BYTES", 10)


def test_a_large_file_is_read_by_a_job(client, services, settings, large):
    files = {"file": ("people.csv", as_csv(people()))}
    answer = client.post("/api/tabular/upload", params={"wait": 0}, files=files)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert (job["kind"], answer.headers["location"]) == ("import_table", f"/api/cv/jobs/{job['job_id']}")
    assert client.get(f"/api/tabular/datasets/{job['dataset_id']}").status_code == 404
    done = work_off(services, settings, import_table.run_job)
    table = client.get(f"/api/tabular/datasets/{job['dataset_id']}").json()
    assert (table["name"], table["rows"], len(table["preview"])) == ("people", 80, 20)
    assert [path.suffix for path in settings.uploads_dir.iterdir()] == [".json"]  # the bytes are gone
    import_table.run_job(done, control=RunControl(), settings=settings)  # a second attempt finds it there
    assert len(client.get("/api/tabular/datasets").json()) == 1


@pytest.mark.parametrize(("content", "status"), [(as_csv(people()), 201), (b"a\n" + b"1\n" * 40, 422)])
def test_whoever_waits_for_a_large_file_hears_what_became_of_it(client, services, settings, large, content, status):
    worker = threading.Thread(target=work_off, args=(services, settings, import_table.run_job))
    worker.start()
    answer = send(client, content)
    worker.join()
    assert answer.status_code == status, answer.text
    assert ("one column" in answer.text) == (status == 422)
    assert not list(settings.uploads_dir.glob("*.part"))


def test_tables_and_images_do_not_see_each_other(client, model, dataset_id):
    table_id, job_id = model
    assert [one["dataset_id"] for one in client.get("/api/cv/datasets").json()] == [dataset_id]
    assert client.get("/api/cv/models").json() == []
    assert client.get("/health").json()["default_model"] is None
    for path in (
        f"datasets/{table_id}",
        f"results/{table_id}",
        f"jobs/{job_id}/results",
        f"models/{table_id}/download",
    ):
        assert client.get(f"/api/cv/{path}").status_code == 404, path
    assert client.get(f"/api/tabular/datasets/{dataset_id}").status_code == 404
    assert client.get(f"/api/tabular/results/{dataset_id}").status_code == 404


def test_results_are_found_by_table_and_by_job(client, model):
    table_id, job_id = model
    results = client.get(f"/api/tabular/results/{table_id}").json()
    assert results == client.get(f"/api/tabular/jobs/{job_id}/results").json()
    assert results["task"] == "classification"
    assert results["test"]["score"] == 1.0
    job = client.get(f"/api/cv/jobs/{job_id}").json()
    assert job["links"]["results"] == f"/api/tabular/jobs/{job_id}/results"
    assert job["kind"] == "train_table"


def test_rows_are_answered_as_json(client, model):
    body = {"rows": [{"city": "Ulm", "age": 30}, {"city": "Bonn", "age": None}]}
    answer = client.post(f"/api/tabular/predict/{model[0]}", json=body)
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["predictions"]
    assert (first["prediction"], second["prediction"]) == ("yes", "no")
    assert first["probabilities"].keys() == {"yes", "no"}
    bare = client.post(f"/api/tabular/predict/{model[0]}", json=body["rows"])
    assert bare.json()["predictions"] == answer.json()["predictions"]


def test_a_file_is_answered_by_a_file(client, services, model):
    asked = pd.DataFrame({"city": ["Ulm", "=1+1"], "age": [30, -5], "+note": ["@x", "-3"]})
    answer = client.post(f"/api/tabular/predict/{model[0]}", files={"file": ("rows.csv", as_csv(asked))})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows[0]["prediction"] == "yes"
    assert rows[1]["city"] == "'=1+1"
    assert rows[1]["age"] == "-5"
    assert rows[0]["'+note"] == "'@x"
    assert list(services.settings.uploads_dir.iterdir()) == []


def test_the_model_goes_home_as_a_zip(client, model):
    answer = client.get(f"/api/tabular/models/{model[0]}/download")
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = set(archive.namelist())
        described = json.loads(archive.read("table_model.json"))
    assert {"predict.py", "README.md", "results.json", "member_1.skops"} <= names
    assert described["target"] == "buys"


def test_models_of_tables_have_states(client, model):
    (listed,) = client.get("/api/tabular/models").json()
    model_id = listed["model_id"]
    assert (listed["state"], listed["score"]) == ("candidate", 1.0)
    assert client.post(f"/api/tabular/models/{model_id}/promote").json()["state"] == "promoted"
    assert client.post(f"/api/tabular/models/{model_id}/archive").status_code == 409
    assert client.post(f"/api/tabular/models/{model_id}/rollback").status_code == 409
    assert client.delete(f"/api/tabular/models/{model_id}").status_code == 409
    assert client.post(f"/api/cv/models/{model_id}/promote").status_code == 404
    assert client.get("/api/tabular/models", params={"state": "archived"}).json() == []
    actions = [entry["action"] for entry in client.get("/api/audit").json()["entries"]]
    assert {"uploaded", "trained", "promoted"} <= set(actions)


def test_a_promotion_is_taken_back_and_remembered(client, services, settings, model):
    table_id, first_job = model
    recipe = {"dataset_id": table_id, "target": "buys", "models": ["linear"], "time_budget_s": 5}
    second_job = client.post("/api/tabular/train/start", json=recipe).json()["job_id"]
    work_off(services, settings, train_table.run_job)
    first, second = (f"model-{job.removeprefix('job-')}" for job in (first_job, second_job))
    for model_id in (first, second):
        assert client.post(f"/api/tabular/models/{model_id}/promote").status_code == 200
    assert client.get(f"/api/tabular/models/{second}").json()["rollback_to"] == first
    assert client.post(f"/api/tabular/models/{second}/rollback").json()["model_id"] == first
    history = client.get(f"/api/tabular/models/{second}/history").json()
    assert [(one["kind"], one["model_id"]) for one in history] == [
        ("rolled_back", first),
        ("promoted", second),
        ("promoted", first),
    ]


def test_a_table_in_use_is_not_deleted(client, table_id):
    client.post("/api/tabular/train/start", json={"dataset_id": table_id, "target": "buys"})
    assert client.delete(f"/api/tabular/datasets/{table_id}").status_code == 409


def test_a_deleted_table_is_gone_with_its_files(client, services, table_id):
    assert client.delete(f"/api/tabular/datasets/{table_id}").status_code == 204
    assert client.get(f"/api/tabular/datasets/{table_id}").status_code == 404
    assert not (services.settings.datasets_dir / table_id).exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": "bys"}, "Did you mean 'buys'"),
        ({"target": "city", "task": "regression"}, "words, not numbers"),
        ({"target": "buys", "models": ["forrest"]}, "Did you mean 'forest'"),
        ({"target": "buys", "exclude": ["city", "age"]}, "No column is left"),
        ({"target": "buys", "time_budget_s": 0}, "greater than 0"),
        ({"target": "buys", "speed": 3}, "speed"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_before_it_is_queued(client, services, table_id, change, words):
    answer = client.post("/api/tabular/train/start", json={"dataset_id": table_id, **change})
    assert answer.status_code == 422
    assert words in answer.text
    assert services.queue.counts()["queued"] == 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not what is expected"),
        (b"{}", "not what is expected"),
        (b"[", "not what is expected"),
        (b"[" * 100_000, "not what is expected"),
        (b'{"rows": []}', "not what is expected"),
        (b'{"rows": [{"city": ["Ulm"], "age": 3}]}', "send a number, a text or null"),
        (b'{"rows": [{"city": "Ulm"}]}', "columns are missing: age"),
        (b"\xff\xfe", "not what is expected"),
    ],
)
def test_bad_rows_are_refused(shared, body, words):
    client, table_id = shared
    answer = client.post(f"/api/tabular/predict/{table_id}", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


HOSTILE = {
    "empty": (b"", 422),
    "one column": (b"a\n1\n2\n", 422),
    "no rows": (b"a,b\n", 422),
    "a million columns": (",".join(f"c{n}" for n in range(100_000)).encode() + b"\n1\n", 422),
    "zeros": (b"0" * 900_000, 422),
    "NUL": (b"\0" * 900_000, 422),
    "UTF-32": (("größe;preis\n" + "ä;1,5\n" * 30).encode("utf-32"), 201),
    "JSON": (b'{"a": 1, "b": 2}\n' * 30, 422),
    "a web page": (b"<html><table>,</table></html>\n" * 30, 422),
    "a picture": (b"\x89PNG\r\n\x1a\n" + b"x" * 99, 422),
    "half a Parquet": (b"PAR1" + b"\xff" * 99, 422),
    "mixed types": (
        b"a,b\n" + b"".join(b"%d,%s\n" % (n, (b"x", b"1.5", b"", b"2026-01-01")[n % 4]) for n in range(40)),
        201,
    ),
    "formulas": (b"a,b\n" + b"=1+1,+cmd|' /C calc'!A0\n" * 30, 201),
    "ragged": (b"a,b\n" + b"1\n1,2,3\n" * 20 + b"1,2\n", 201),
    "Windows": ("größe;preis\n".encode("cp1252") + "ä;1,5\n".encode("cp1252") * 30, 201),
    "broken quotes": (b'a,b\n"1,2\n3,4\n', 422),
    "control characters": (b"a\x01,b\x02\n\x03,\x04\n" * 20, 201),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tables_get_a_clear_answer_and_leave_nothing(client, services, name):
    content, status = HOSTILE[name]
    answer = send(client, content)
    assert answer.status_code == status, answer.text
    if status == 422:
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.json()["detail"]) > 30
        assert list(services.settings.datasets_dir.iterdir()) == []
    assert list(services.settings.uploads_dir.iterdir()) == []


def test_a_table_above_the_limit_is_refused(client, settings, make_app):
    from starlette.testclient import TestClient

    small = settings.model_copy(update={"max_table_mb": 1})
    with TestClient(make_app(small), raise_server_exceptions=False) as narrow:
        answer = send(narrow, b"a,b\n" + b"1,2\n" * 600_000)
    assert answer.status_code == 413
    assert "limit" in answer.json()["detail"]
