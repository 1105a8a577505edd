import errno
from pathlib import Path

import pytest
from starlette.testclient import TestClient

PROBLEM = "application/problem+json"
PATHS = [
    ("GET", "/api/cv/datasets/{}"),
    ("DELETE", "/api/cv/datasets/{}"),
    ("GET", "/api/cv/datasets/{}/images"),
    ("GET", "/api/cv/datasets/{}/images/abc"),
    ("GET", "/api/cv/jobs/{}"),
    ("GET", "/api/cv/jobs/{}/events"),
    ("GET", "/api/cv/jobs/{}/results"),
    ("GET", "/api/cv/jobs/{}/test-predictions"),
    ("POST", "/api/cv/jobs/{}/cancel"),
    ("GET", "/api/cv/results/{}"),
    ("GET", "/api/cv/models/{}"),
    ("POST", "/api/cv/models/{}/promote"),
    ("GET", "/api/cv/models/{}/download"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("odd", ["none-such", "%00", "A", "%ED%A0%80", "a%0A", "x" * 5000, "..%5c..", "' OR 1=1"])
def test_an_id_that_is_not_there_or_cannot_be_is_not_found(shared_client, method, path, odd):
    answer = shared_client.request(method, path.format(odd))
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    body = answer.json()
    assert (body["status"], body["title"]) == (404, "Not found")
    assert "GET /api/cv" in body["detail"]


@pytest.mark.parametrize("path", ["/api/cv/predict/{}", "/api/cv/explain/{}"])
@pytest.mark.parametrize("odd", ["none-such", "%00", "A"])
def test_predicting_with_an_unknown_id_is_not_found(shared_client, png, path, odd):
    assert shared_client.post(path.format(odd), files={"file": png}).status_code == 404


def test_an_unknown_image_names_where_to_look(shared_client, shared_dataset_id):
    answer = shared_client.get(f"/api/cv/datasets/{shared_dataset_id}/images/none-such")
    assert answer.status_code == 404
    assert f"GET /api/cv/datasets/{shared_dataset_id}/images" in answer.json()["detail"]


def test_an_unknown_address_and_a_wrong_method_are_problems(shared_client):
    missing = shared_client.get("/nothing/here")
    assert (missing.status_code, missing.headers["content-type"]) == (404, PROBLEM)
    assert "/docs" in missing.json()["detail"]
    wrong = shared_client.put("/api/cv/datasets")
    assert (wrong.status_code, wrong.headers["content-type"]) == (405, PROBLEM)
    assert "GET" in wrong.headers["allow"]
    assert "GET" in wrong.json()["detail"]


def test_a_bug_is_a_problem_that_names_the_request_and_hides_the_rest(client, services, monkeypatch):
    def fail():
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(services.catalog, "datasets", fail)
    answer = client.get("/api/cv/datasets")
    assert (answer.status_code, answer.headers["content-type"]) == (500, PROBLEM)
    assert "secret" not in answer.text
    assert "request id" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "the right to")]
)
def test_a_disk_that_refuses_is_unavailable_and_says_what_to_do(
    client, settings, shapes_zip, monkeypatch, number, said
):
    def refuse(folder):
        raise OSError(number, "no", str(folder))

    monkeypatch.setattr(Path, "mkdir", lambda folder, *_, **__: refuse(folder))
    answer = client.post("/api/cv/upload", files={"file": ("x.zip", shapes_zip)})
    assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
    assert said in answer.json()["detail"]
    assert str(settings.data_dir) not in answer.text


def test_any_other_error_of_the_system_is_a_bug(client, services, monkeypatch):
    def fail():
        raise ConnectionResetError("secret")

    monkeypatch.setattr(services.catalog, "datasets", fail)
    answer = client.get("/api/cv/datasets")
    assert (answer.status_code, "secret" in answer.text) == (500, False)


def test_many_faults_are_all_named_up_to_five(shared_client):
    answer = shared_client.post("/api/cv/train/start", json={f"odd{number}": 1 for number in range(9)})
    body = answer.json()
    assert len(body["errors"]) == 5
    assert "And 5 more." in body["detail"]


def test_a_detail_that_quotes_a_lot_is_shortened_and_freed_of_control_characters(shared_client, shared_dataset_id):
    recipe = {"dataset_id": shared_dataset_id, "models": ["\x1b[31m" + "x" * 100_000]}
    detail = shared_client.post("/api/cv/train/start", json=recipe).json()["detail"]
    assert len(detail) <= 2000
    assert "\x1b" not in detail
    assert detail.startswith("There is no network")
    assert "resnet18" in detail


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"data": {"file": "words"}}, 422, "holds text and not a file"),
        ({"files": {"file": (None, "words")}}, 422, "holds text and not a file"),
        ({"files": {"picture": ("a.png", b"1")}}, 422, "'file' is missing"),
        ({"files": [("file", ("a.zip", b"1")), ("file", ("b.zip", b"1"))]}, 400, "Too many files"),
        ({"files": {"file": ("", b"x" * 20_000)}}, 400, "Part exceeded"),
        ({"content": b"xx", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 400, "Invalid"),
        ({"content": b"xx", "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
    ],
)
@pytest.mark.parametrize("path", ["/api/cv/upload", "/predict"])
def test_a_form_without_one_file_says_how_to_send_one(shared_client, path, form, status, said):
    answer = shared_client.post(path, **form)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert said in answer.json()["detail"]
    assert "curl -F file=@PATH" in answer.json()["detail"]
    assert "<class" not in answer.text


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "\x7f", "a/b;q=x", "x" * 5000])
def test_odd_accept_headers_change_nothing(shared_client, accept):
    assert shared_client.get("/api/cv/datasets", headers={"Accept": accept}).status_code == 200


class TestKeys:
    @pytest.fixture
    def guarded(self, settings, make_app):
        app = make_app(settings.model_copy(update={"api_keys": ("first-key", "zweiter-schlüssel")}))
        with TestClient(app, raise_server_exceptions=False) as shared_client:
            yield shared_client

    @pytest.mark.parametrize(
        "path", ["/api/cv/datasets", "/api/cv/candidates", "/predict", "/api/cv/nothing", "/nothing"]
    )
    def test_without_a_key_nothing_but_health_is_answered(self, guarded, path):
        answer = guarded.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "Authorization" in answer.json()["detail"]

    @pytest.mark.parametrize("path", ["/health", "/api/health", "/docs", "/openapi.json"])
    def test_health_and_documentation_stay_open(self, guarded, path):
        assert guarded.get(path).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {"Authorization": "Bearer first-key"},
            {"Authorization": "bearer first-key"},
            {"X-API-Key": "first-key"},
            {"X-API-Key": "zweiter-schlüssel".encode()},
        ],
    )
    def test_any_of_the_keys_opens(self, guarded, headers):
        assert guarded.get("/api/cv/datasets", headers=headers).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Bearer "},
            {"Authorization": "Basic first-key"},
            {"Authorization": b"Bearer \xff\xfe"},
            {"X-API-Key": ""},
            {"X-API-Key": "first-key2"},
            {"X-API-Key": "first-ke"},
        ],
    )
    def test_a_wrong_key_does_not(self, guarded, headers):
        assert guarded.get("/api/cv/datasets", headers=headers).status_code == 401

    def test_a_body_without_a_key_is_never_read(self, guarded):
        read = []

        def body():
            read.append(1)
            yield b"x"

        assert guarded.post("/api/cv/upload", content=body()).status_code == 401
