import asyncio
import json

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from backend.api.bounds import MAX_PLAIN_BYTES, MIB, Bounds

JSON = {"Content-Type": "application/json"}


def routes_with_a_body(app):
    return [
        (method.upper(), path.replace("{dataset_id}", "ds-1").replace("{job_id}", "job-1"))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
        if method in ("post", "put", "patch", "delete")
    ]


def test_fifty_megabytes_of_json_are_refused_everywhere_before_they_are_read(shared_client):
    read = []

    def body():
        read.append(1)
        yield b"x"

    for method, path in routes_with_a_body(shared_client.app):
        headers = {**JSON, "Content-Length": str(50 * MIB)}
        answer = shared_client.request(method, path, content=body(), headers=headers)
        assert (answer.status_code, method, path) == (413, method, path)
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/api/cv/train/start", "/api/cv/datasets/ds-1/changes", "/api/cv/import"])
def test_a_body_of_unknown_length_is_counted_as_it_comes(shared_client, path):
    sent = []

    def body():
        yield b'{"dataset_id": "'
        for _ in range(64):
            sent.append(MIB)
            yield b"x" * MIB
        yield b'"}'

    answer = shared_client.post(path, content=body(), headers=JSON)
    assert (answer.status_code, answer.json()["title"]) == (413, "Request Entity Too Large"), answer.text


def test_headers_that_no_client_needs_are_refused(shared_client):
    long = shared_client.get("/openapi.json", headers={"X-Long": "x" * 70_000})
    many = shared_client.get("/openapi.json", headers=[(f"X-{n}", "1") for n in range(120)])
    address = shared_client.get("/openapi.json?" + "x" * 40_000, headers={"X-Long": "x" * 30_000})
    for answer in (long, many, address):
        assert (answer.status_code, answer.headers["content-type"]) == (431, "application/problem+json")


async def echo(request):
    return PlainTextResponse(str(len(await request.body())))


def ask(messages, *, patience_s=30.0, headers=()):
    """Let the messages come in one by one; then silence. Returns status and body of the answer."""
    app = Starlette(routes=[Route("/", echo, methods=["POST"])])
    app.add_middleware(Bounds, max_upload_bytes=32 * MIB, patience_s=patience_s)
    waiting, sent = list(messages), []

    async def receive():
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": list(headers)}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


def piece(body, *, more):
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_sender_that_falls_silent_is_not_waited_for():
    status, body = ask([piece(b"half", more=True)], patience_s=0.01)
    assert status == 408
    assert b"stopped coming in" in body


def test_a_body_within_its_bounds_comes_through():
    assert ask([piece(b"ab", more=True), piece(b"c", more=False)]) == (200, b"3")


def test_what_is_written_to_the_disk_may_be_larger_than_what_is_not():
    pieces = [piece(b"x" * MIB, more=True)] * 20 + [piece(b"", more=False)]
    assert 20 * MIB > MAX_PLAIN_BYTES
    assert ask(pieces)[0] == 413
    form = [(b"content-type", b"multipart/form-data; boundary=b")]
    assert ask(pieces, headers=form) == (200, str(20 * MIB).encode())
    assert ask([piece(b"x" * MIB, more=True)] * 33 + [piece(b"", more=False)], headers=form)[0] == 413


def test_a_declared_length_that_is_no_number_is_counted_instead():
    assert ask([piece(b"abc", more=False)], headers=[(b"content-length", b"-5")]) == (200, b"3")


def test_json_within_the_bound_is_read(shared_client):
    answer = shared_client.post("/api/cv/train/start", content=json.dumps({"dataset_id": "ds-none"}), headers=JSON)
    assert answer.status_code == 404
