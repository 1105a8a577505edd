import pytest
from starlette.testclient import TestClient

from backend.api.origins import host_name, is_nobodys

PAGE = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}


@pytest.fixture
def start(settings, make_app):
    """A client of an application with these settings; every test asks for one thing only, so it is not started."""

    def make(**changes):
        return TestClient(make_app(settings.model_copy(update=changes)), base_url="http://127.0.0.1:8000")

    return make


@pytest.mark.parametrize(
    ("header", "name", "nobodys"),
    [
        ("127.0.0.1:8000", "127.0.0.1", True),
        ("LOCALHOST:8000", "localhost", True),
        ("ui.localhost", "ui.localhost", True),
        ("[::1]:8000", "::1", True),
        ("192.168.1.5", "192.168.1.5", True),
        ("api:8000", "api", True),
        ("", "", True),
        ("evil.example:8000", "evil.example", False),
        ("evil.example.", "evil.example", False),
        ("127.0.0.1.evil.example", "127.0.0.1.evil.example", False),
        ("localhost.evil.example", "localhost.evil.example", False),
        ("printer.local", "printer.local", False),
    ],
)
def test_a_page_from_elsewhere_has_a_name_with_a_dot(header, name, nobodys):
    assert host_name(header) == name
    assert is_nobodys(name) is nobodys


def test_a_name_that_leads_here_is_refused_unless_it_was_allowed(start):
    answer = start().get("/openapi.json", headers={"Host": "evil.example:8000"})
    assert (answer.status_code, answer.headers["content-type"]) == (421, "application/problem+json")
    assert "SIGHTGLASS_ALLOWED_HOSTS" in answer.json()["detail"]
    allowed = start(allowed_hosts=("Lab.Example",))
    assert allowed.get("/openapi.json", headers={"Host": "lab.example:8000"}).status_code == 200
    assert allowed.get("/openapi.json", headers={"Host": "evil.example"}).status_code == 421


def test_with_keys_any_name_is_answered_until_some_are_named(start):
    named = {"Host": "lab.example", "X-API-Key": "k"}
    assert start(api_keys=("k",)).get("/openapi.json", headers=named).status_code == 200
    chosen = start(api_keys=("k",), allowed_hosts=("lab.example",))
    assert chosen.get("/openapi.json", headers=named).status_code == 200
    assert chosen.get("/openapi.json", headers={**named, "Host": "other.example"}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "http://localhost:8000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        PAGE,
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH"])
def test_a_foreign_page_changes_nothing(start, method, headers):
    answer = start().request(method, "/api/cv/datasets/ds-1", headers=headers)
    assert (answer.status_code, answer.json()["title"]) == (403, "Foreign page")


def test_a_form_of_a_foreign_page_never_reaches_the_upload(client, settings, shapes_zip):
    answer = client.post("/api/cv/upload", files={"file": ("s.zip", shapes_zip)}, headers=PAGE)
    assert answer.status_code == 403
    assert list(settings.datasets_dir.iterdir()) == []
    assert list(settings.uploads_dir.iterdir()) == []


def test_a_foreign_page_reads_nothing_but_may_lead_here(start):
    assert start().get("/openapi.json", headers=PAGE).status_code == 403
    lead = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert start().get("/docs", headers=lead).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://127.0.0.1:8000"},
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_scripts_and_our_own_page_go_on(start, headers):
    assert start().post("/nowhere", headers=headers).status_code == 404


def test_a_named_origin_goes_on_and_keys_make_the_question_needless(start):
    assert start(cors_origins=("https://evil.example",)).post("/nowhere", headers=PAGE).status_code == 404
    assert start(api_keys=("k",)).post("/nowhere", headers={**PAGE, "X-API-Key": "k"}).status_code == 404


PREFLIGHT = {
    "Origin": "https://lab.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


class TestCors:
    def test_is_closed_by_default(self, start):
        answer = start(api_keys=("k",)).options("/api/cv/datasets", headers=PREFLIGHT)
        assert answer.status_code == 401
        assert not [name for name in answer.headers if name.startswith("access-control")]

    def test_opens_for_the_origins_that_are_named_before_a_key_is_asked_for(self, start):
        client = start(api_keys=("k",), cors_origins=("https://lab.example",))
        answer = client.options("/api/cv/datasets", headers=PREFLIGHT)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://lab.example"
        assert "access-control-allow-credentials" not in answer.headers
        refused = client.get("/api/cv/datasets", headers={"Origin": "https://lab.example"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://lab.example"

    def test_stays_closed_for_others(self, start):
        client = start(api_keys=("k",), cors_origins=("https://lab.example",))
        answer = client.options("/api/cv/datasets", headers={**PREFLIGHT, "Origin": "https://evil.example"})
        assert answer.status_code == 400
        assert "access-control-allow-origin" not in answer.headers
