"""With keys set, every route refuses without one. Routes are read from the application, so that none is forgotten."""

import re

import pytest
from starlette.routing import BaseRoute, Mount
from starlette.testclient import TestClient

from backend.api.security import OPEN_PATHS

KEY = "s3cret-Key-1"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Deliberately open, and what each may tell a stranger.
OPEN = {
    "/": "leads to the documentation",
    "/docs": "the interactive documentation: public with the code",
    "/redoc": "the same to read",
    "/openapi.json": "the same for machines",
    "/health": "version, device, how many jobs wait: load balancers send no key",
    "/api/health": "the same",
    "/ready": "what cannot be reached: orchestrators send no key",
}


@pytest.fixture(scope="module")
def app(make_app, tmp_path_factory, new_database_url):
    from backend.config import Settings

    folder = tmp_path_factory.mktemp("keyed") / "data"
    keys = f"ada:{KEY},an-other-key"
    return make_app(Settings(data_dir=folder, database_url=new_database_url(), api_keys=keys, offline=True))


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


def table_of(routes, prefix=""):
    """(path, methods) of each route of the real table, those of mounted applications too."""
    for route in routes:
        assert isinstance(route, BaseRoute)
        if isinstance(route, Mount):
            yield prefix + route.path + "/x", set(METHODS)
            yield from table_of(route.routes, prefix + route.path)
        elif (inner := getattr(route, "original_router", None)) is not None:
            yield from table_of(inner.routes, prefix)
        else:
            yield prefix + route.path, set(getattr(route, "methods", None) or METHODS)


def calls(app):
    """Every method on every path of the table and of the OpenAPI, with ids that nothing has."""
    found = {path for path, _ in table_of(app.routes)} | set(app.openapi()["paths"])
    return [(method, re.sub(r"\{[^}]+\}", "nothing-1", path)) for path in sorted(found) for method in METHODS]


def test_the_table_holds_what_the_openapi_lists_and_streams_too(app):
    assert set(app.openapi()["paths"]) <= {path for path, _ in table_of(app.routes)}
    paths = {path for _, path in calls(app)}
    assert {"/predict", "/metrics", "/api/cv/jobs/nothing-1/events", "/api/cv/uploads/nothing-1"} <= paths
    assert len(paths) > 30


def test_what_is_open_is_what_was_decided():
    assert set(OPEN) == OPEN_PATHS


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "wrong"},
        {"Authorization": "Bearer wrong"},
        {"X-API-Key": KEY.upper()},
        {"Authorization": f"Bearer {KEY.lower()}"},
        {"Authorization": f"Basic {KEY}"},
        {"X-API-Key": f"ada:{KEY}"},
        {"X-API-Key": "ada"},
        {"Cookie": f"api_key={KEY}"},
    ],
    ids=["none", "wrong", "wrong bearer", "upper case", "lower case", "basic", "whole entry", "name", "cookie"],
)
def test_every_route_refuses_without_the_key(app, client, headers):
    answered = []
    for method, path in calls(app):
        if path in OPEN:
            continue
        answer = client.request(method, path, headers=headers)
        if answer.status_code != 401 or (method != "HEAD" and answer.json()["title"] != "API key needed"):
            answered.append((method, path, answer.status_code))
    assert answered == []


@pytest.mark.parametrize("path", ["/api/cv/datasets?key={}", "/api/cv/datasets?api_key={}", "/metrics?token={}"])
def test_a_key_in_the_address_is_no_key(client, path):
    assert client.get(path.format(KEY)).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/health/",
        "//health",
        "/HEALTH",
        "/docs/x",
        "/./health",
        "/health%2f..%2fapi",
        "/api/cv/datasets/../../../health",
    ],
)
def test_a_path_that_only_looks_like_an_open_one_is_not(client, path):
    assert client.get(path).status_code == 401 or client.build_request("GET", path).url.path in OPEN


def test_with_the_key_every_route_answers(app, client):
    refused = []
    for method, path in calls(app):
        # A stream of a job that nobody knows ends at once; a body that does not fit is refused by the route itself.
        status = client.request(method, path, headers={"X-API-Key": KEY}).status_code
        if status in (401, 403, 421, 500):
            refused.append((method, path, status))
    assert refused == []


@pytest.mark.parametrize("path", sorted(OPEN))
def test_what_is_open_answers_without_a_key(client, path):
    assert client.get(path).status_code in (200, 307, 503)


def test_a_websocket_is_closed_without_the_key(client):
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/api/cv/anything"):
        pass
    assert closed.value.code == 1008


def test_the_openapi_says_that_a_key_is_needed(app):
    paths = app.openapi()["paths"]
    bare = [
        f"{method} {path}"
        for path, methods in paths.items()
        for method in methods
        if path not in OPEN and not methods[method].get("security")
    ]
    assert bare == []
