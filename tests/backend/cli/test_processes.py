"""Children live and end together, whatever way the block is left."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from backend.cli import processes as module
from backend.cli.processes import Processes, backend_command, free_port, reachable, ui_command
from backend.errors import UnavailableError
from tests.ports import free_port as reserved_port
from tests.waiting import wait_until

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
DEAF = (
    "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
)


@pytest.fixture(autouse=True)
def _own_signals():
    """The block installs handlers; the test runner's must come back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def children(processes):
    return list(processes._children.values())


def serve_status(port, status):
    program = (
        "from http.server import *\n"
        "class Handler(BaseHTTPRequestHandler):\n"
        f"    def do_GET(self): self.send_response({status}); self.end_headers()\n"
        "    def log_message(self, *_): ...\n"
        f"HTTPServer(('127.0.0.1', {port}), Handler).serve_forever()"
    )
    return [sys.executable, "-c", program]


def leave_by(processes, action):
    """Start a child, then do what leaves the block; a signal needs a moment to arrive."""
    with processes:
        processes.start("one", SLEEP)
        action()
        time.sleep(5)


def test_leaving_the_block_stops_every_child():
    with Processes() as processes:
        processes.start("one", SLEEP)
        processes.start("two", SLEEP)
        assert processes.ended() is None
        both = children(processes)
    assert [child.returncode for child in both] == [-signal.SIGTERM] * 2


def test_an_error_in_the_block_stops_every_child():
    processes = Processes()
    with pytest.raises(ZeroDivisionError):
        leave_by(processes, lambda: 1 / 0)
    assert [child.returncode for child in children(processes)] == [-signal.SIGTERM]


def test_a_child_that_does_not_listen_is_killed(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "STOP_WITHIN_S", 0.5)
    with Processes() as processes:
        processes.start("deaf", [sys.executable, "-c", DEAF, str(tmp_path / "deaf")])
        wait_until((tmp_path / "deaf").exists, "it has stopped listening")
        [child] = children(processes)
    assert child.returncode == -signal.SIGKILL


def test_term_leaves_the_block_as_ctrl_c_does():
    processes = Processes()
    with pytest.raises(KeyboardInterrupt):
        leave_by(processes, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert [child.returncode for child in children(processes)] == [-signal.SIGTERM]


def test_a_child_that_ends_is_named_with_its_exit_code():
    with Processes() as processes:
        processes.start("one", SLEEP)
        processes.start("brief", [sys.executable, "-c", "raise SystemExit(3)"])
        processes.wait()
        assert processes.ended() == "brief (exit code 3)"


def test_waiting_ends_when_the_address_answers():
    port = reserved_port()
    with Processes() as processes:
        processes.start("answering", serve_status(port, 200))
        processes.wait_for(f"http://127.0.0.1:{port}/health")


def test_waiting_ends_when_a_child_has_ended():
    with Processes() as processes:
        processes.start("brief", [sys.executable, "-c", "raise SystemExit(3)"])
        with pytest.raises(UnavailableError, match=r"brief \(exit code 3\)"):
            processes.wait_for(f"http://127.0.0.1:{reserved_port()}/health")


def test_waiting_ends_when_it_takes_too_long(monkeypatch):
    monkeypatch.setattr(module, "READY_WITHIN_S", 1.0)
    port = reserved_port()
    with Processes() as processes:
        processes.start("unwell", serve_status(port, 503))
        with pytest.raises(UnavailableError, match="did not answer within 1 s"):
            processes.wait_for(f"http://127.0.0.1:{port}/health")


def test_a_free_port_can_be_taken():
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert 1024 <= port <= 65535


def test_an_address_for_everybody_is_reached_by_loopback():
    assert reachable("0.0.0.0") == "127.0.0.1"
    assert reachable("10.1.2.3") == "10.1.2.3"


@pytest.mark.parametrize("command", [backend_command, ui_command], ids=["backend", "ui"])
def test_a_command_starts_a_file_that_is_there_on_the_port_asked_for(command):
    words = command(host="127.0.0.1", port=8123)
    assert words[0] == sys.executable
    assert "8123" in words
    script = next(word for word in words if word.endswith(".py"))
    subprocess.run([sys.executable, "-m", "py_compile", script], check=True, capture_output=True)


def test_the_api_alone_is_told_so():
    assert "--no-worker" in backend_command(host="127.0.0.1", port=1, no_worker=True)
    assert "--no-worker" not in backend_command(host="127.0.0.1", port=1)
