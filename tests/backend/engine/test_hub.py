from __future__ import annotations

import http.server
import socket
import threading
import time

import pytest

from backend.engine import hub
from backend.errors import UnavailableError
from tests.waiting import PATIENCE_S, slowness

COMMIT = "b" * 40


class Hub(http.server.BaseHTTPRequestHandler):
    """The little of the hub that a download needs: one repository with one file."""

    status = 200
    content = b"weights"

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        file = self.path.endswith(f"/timm/tiny/resolve/main/{hub.WEIGHT_FILES[1]}")
        status = self.status if self.path == "/" else (200 if file else 404)
        self.send_response(status)
        content = self.content if file else b""
        self.send_header("Content-Length", str(len(content)))
        if file:
            self.send_header("ETag", '"0123"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def local_hub(monkeypatch, tmp_path):
    from huggingface_hub import constants

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    hub.reachable.cache_clear()
    yield server
    hub.reachable.cache_clear()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("status", "expected"), [(200, True), (405, True), (403, False), (502, False)])
def test_a_hub_is_there_unless_something_in_between_refuses(local_hub, monkeypatch, status, expected):
    monkeypatch.setattr(Hub, "status", status)
    assert hub.reachable(PATIENCE_S) is expected


def test_the_hub_is_asked_once_per_process(local_hub, monkeypatch):
    assert hub.reachable(PATIENCE_S)
    monkeypatch.setattr(Hub, "status", 500)
    assert hub.reachable(PATIENCE_S)


def test_a_hub_that_never_answers_costs_no_more_than_the_time_out(local_hub, monkeypatch):
    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        assert not hub.reachable(0.2)
        assert time.monotonic() - started < 3.0 * slowness()


def test_a_name_that_is_looked_up_for_long_costs_no_more_than_the_time_out(local_hub, monkeypatch):
    let_go = threading.Event()
    monkeypatch.setattr(hub, "_answers", lambda endpoint, timeout_s: let_go.wait(PATIENCE_S))  # deaf to its own
    started = time.monotonic()
    assert not hub.reachable(0.2)
    assert time.monotonic() - started < PATIENCE_S / 2
    let_go.set()


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "nonsense"])
def test_a_refused_connection_and_a_broken_address_are_no_hub(local_hub, monkeypatch, endpoint):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    assert not hub.reachable(1.0)


def test_the_hubs_own_offline_switch_is_obeyed(local_hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not hub.reachable(PATIENCE_S)


def test_a_download_lands_in_the_cache_and_is_found_there_afterwards(local_hub):
    assert hub.cached_file("timm/tiny") is None
    path = hub.download("timm/tiny", timeout_s=PATIENCE_S)
    assert path.read_bytes() == Hub.content
    assert hub.cached_file("timm/tiny") == path


def test_a_repository_that_is_not_there_is_named(local_hub):
    with pytest.raises(UnavailableError, match="timm/none"):
        hub.download("timm/none", timeout_s=PATIENCE_S)


def test_an_impossible_repository_name_is_simply_not_cached(local_hub):
    assert hub.cached_file("timm/../etc") is None
