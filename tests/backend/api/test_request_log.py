"""What the log says of requests: whose, which, how it went. Never a key, a header, a query or what a file holds."""

import io
import json
import logging

import pytest
from starlette.testclient import TestClient

from backend.execution.logs import make_handler

KEY = "s3cret-Key-1"
PRIVATE = "words-in-a-file"


@pytest.fixture
def read_log(monkeypatch):
    """Everything that is logged from now on, as JSON and as text, from DEBUG on."""
    root = logging.getLogger()
    level, handlers = root.level, [make_handler("json"), make_handler("text")]
    streams = [io.StringIO(), io.StringIO()]
    for handler, stream in zip(handlers, streams, strict=True):
        handler.stream = stream
        root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    monkeypatch.setattr(logging.getLogger("httpx2"), "disabled", True)  # the test's own client
    yield lambda: [stream.getvalue() for stream in streams]
    root.setLevel(level)
    for handler in handlers:
        root.removeHandler(handler)


@pytest.fixture
def client(settings, make_app):
    keyed = settings.model_copy(update={"api_keys": (f"ada:{KEY}",)})
    with TestClient(make_app(keyed), raise_server_exceptions=False, headers={"X-API-Key": KEY}) as client:
        yield client


def lines(read_log, **wanted):
    found = [json.loads(line) for line in read_log()[0].splitlines()]
    return [line for line in found if wanted.items() <= line.items()]


def test_a_line_says_who_asked_what_and_how_it_went(client, read_log):
    client.post("/predict", headers={"X-Request-ID": "req-7"})
    [line] = lines(read_log, message="request", request_id="req-7")
    assert (line["method"], line["path"], line["status"], line["caller"]) == ("POST", "/predict", 422, "ada")
    assert line["ms"] > 0


def test_lines_of_other_rooms_carry_the_request_too(client, read_log, monkeypatch):
    catalog = client.app.state.services.catalog

    def look():
        logging.getLogger("backend.storage.catalog").info("looking")
        return []

    monkeypatch.setattr(catalog, "datasets", look)
    client.get("/api/cv/datasets", headers={"X-Request-ID": "req-8"})
    assert lines(read_log, message="looking", request_id="req-8")


def test_a_job_is_known_by_the_request_that_started_it(client, read_log, shapes_zip):
    dataset = client.post("/api/cv/upload", files={"file": ("s.zip", shapes_zip)}).json()
    started = client.post(
        "/api/cv/train/start", json={"dataset_id": dataset["dataset_id"]}, headers={"X-Request-ID": "req-9"}
    ).json()
    assert started["request_id"] == "req-9"
    assert client.app.state.services.queue.get(started["job_id"]).request_id == "req-9"


@pytest.mark.parametrize("offered", ["a b", "x" * 65, "req\\n1", "<script>", "é".encode()])
def test_an_id_that_is_not_harmless_is_replaced_everywhere(client, read_log, offered):
    answer = client.get("/nowhere", headers={"X-Request-ID": offered})
    own = answer.headers["x-request-id"]
    assert len(own) == 16
    assert answer.json()["request_id"] == own
    assert lines(read_log, message="request", request_id=own)


def test_no_key_no_query_and_nothing_of_a_file_is_logged(client, read_log):
    def ask(method, path, **how):
        client.request(method, path, **how)

    file = {"file": ("x.png", PRIVATE.encode() * 50)}
    ask("POST", "/predict", files=file)
    ask("POST", "/api/cv/upload", files={"file": ("x.zip", PRIVATE.encode() * 50)})
    ask("POST", "/api/cv/upload", files=file, headers={"X-API-Key": "wrong-Key-2"})
    ask("GET", f"/api/cv/datasets?api_key={KEY}&q={PRIVATE}", headers={"Authorization": f"Bearer {KEY}"})
    ask("POST", "/api/cv/train/start", content=f'{{"dataset_id": "{PRIVATE}"'.encode(), headers={"Cookie": PRIVATE})
    client.app.state.services.catalog.datasets = lambda: 1 / 0  # a bug, with its traceback
    ask("GET", f"/api/cv/datasets?q={PRIVATE}")
    for text in read_log():
        assert text.count("ZeroDivisionError") >= 1
        for secret in (KEY, "wrong-Key-2", PRIVATE):
            assert secret not in text
