"""The client: paths, keys, and one kind of error whatever goes wrong."""

from __future__ import annotations

import httpx2
import pytest

from frontend.client import ApiError, Client, connect


def client_answering(handler):
    return Client("http://service.test", api_key="k", transport=httpx2.MockTransport(handler))


def error_of(handler):
    with pytest.raises(ApiError) as caught:
        client_answering(handler).datasets()
    return caught.value


def test_a_problem_becomes_its_detail():
    problem = {"title": "Not found", "status": 404, "detail": "Upload one first."}
    error = error_of(lambda _: httpx2.Response(404, json=problem))
    assert (error.detail, error.title, error.status) == ("Upload one first.", "Not found", 404)


@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b'["list"]', b'{"detail": [1]}', b"\xff"])
def test_an_error_without_a_problem_is_named_by_its_status(body):
    error = error_of(lambda _: httpx2.Response(502, content=body))
    assert "GET /api/cv/datasets was answered with status 502" in error.detail


def test_an_answer_that_is_no_json_names_the_address():
    error = error_of(lambda _: httpx2.Response(200, text="hello"))
    assert "http://service.test is not the Sightglass API" in error.detail


@pytest.mark.parametrize("failure", [httpx2.ConnectError, httpx2.ReadError, httpx2.RemoteProtocolError])
def test_a_service_that_is_away_says_how_to_start_it(failure):
    def fail(request):
        raise failure("no", request=request)

    assert "make start" in error_of(fail).detail


def test_a_timeout_is_said_as_such():
    def fail(request):
        raise httpx2.ReadTimeout("slow", request=request)

    assert "did not answer in time" in error_of(fail).detail


def test_an_id_from_the_url_cannot_reach_another_route():
    seen = []

    def handler(request):
        seen.append(request.url.raw_path)
        return httpx2.Response(200, json={})

    client = client_answering(handler)
    client.dataset("../jobs?x=1#y")
    client.dataset("..")
    client.tables.delete("a/b c")
    # a server reads `%2F` as a slash: quoted twice it reaches the route, which says that there is no such dataset
    assert seen == [
        b"/api/cv/datasets/..%252Fjobs%3Fx%3D1%23y",
        b"/api/cv/datasets/%252E%252E",
        b"/api/tabular/datasets/a%252Fb%20c",
    ]


@pytest.mark.parametrize("address", ["http://elsewhere.test/api/x.png", "//elsewhere.test/api/x", "/etc/passwd", ""])
def test_an_image_is_fetched_only_from_the_api(address):
    client = client_answering(lambda _: httpx2.Response(200, content=b"x"))
    with pytest.raises(ApiError):
        client.image_at(address)


def test_the_key_travels_in_its_header():
    seen = []

    def handler(request):
        seen.append(request.headers.get("x-api-key"))
        return httpx2.Response(200, json=[])

    client_answering(handler).jobs()
    assert seen == ["k"]


def test_the_environment_names_the_address(monkeypatch):
    assert connect().base_url == "http://127.0.0.1:8000"
    monkeypatch.setenv("SIGHTGLASS_API_URL", "https://service.test/")
    assert connect().base_url == "https://service.test"


def test_downloads_come_as_bytes(api, service):
    dataset = service.add_dataset()
    service.add_job(dataset["dataset_id"], state="succeeded")
    assert api.download("model-0000000000", "bundle") == b"model-0000000000 as bundle"
