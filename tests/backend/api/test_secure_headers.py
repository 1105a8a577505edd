import base64
import hashlib
import re

import pytest
from starlette.testclient import TestClient

from backend.api.secure_headers import SECURE_HEADERS


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/api/cv/datasets", "/api/cv/upload", "/openapi.json"])
def test_every_answer_has_them_refusals_too(shared_client, path):
    headers = shared_client.get(path).headers
    assert {name: headers.get(name) for name in SECURE_HEADERS} == SECURE_HEADERS
    assert "server" not in headers


def test_a_refusal_for_want_of_a_key_has_them(settings, make_app):
    client = TestClient(make_app(settings.model_copy(update={"api_keys": ("k",)})))
    answer = client.get("/api/cv/datasets")
    assert answer.status_code == 401
    assert {name: answer.headers.get(name) for name in SECURE_HEADERS} == SECURE_HEADERS


def test_a_bug_of_ours_has_them_and_the_id_of_its_log_line(client, services, monkeypatch, caplog):
    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr(services.catalog, "datasets", fail)
    answer = client.get("/api/cv/datasets", headers={"X-Request-ID": "abc-1"})
    assert answer.status_code == 500
    assert {name: answer.headers.get(name) for name in SECURE_HEADERS} == SECURE_HEADERS
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "abc-1"
    assert [record.request_id for record in caplog.records if record.message == "bug"] == ["abc-1"]


def test_a_thumbnail_stays_cached_and_is_kept_by_nobody_else(client, dataset_id):
    image = client.get(f"/api/cv/datasets/{dataset_id}/images").json()["images"][0]
    headers = client.get(f"/api/cv/datasets/{dataset_id}/images/{image['image_id']}").headers
    assert headers["cache-control"] == "private, max-age=31536000, immutable"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_documentation_runs_its_own_scripts_and_no_others(shared_client, path):
    answer = shared_client.get(path)
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    allowed = policy["script-src"].split()
    for script in re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in allowed
    for source in re.findall(r'<script src="([^"]+)"', answer.text):
        assert source.startswith("https://cdn.jsdelivr.net/")
    assert "https://cdn.jsdelivr.net" in allowed
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*"} & set(allowed)
    assert policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
