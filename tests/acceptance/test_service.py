"""The service in real processes, with a real database and TERM at the end; training is stood in for (stand_in.py)."""

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from tests import waiting
from tests.ports import free_port

pytestmark = pytest.mark.acceptance
ROOT = Path(__file__).parents[2]


def wait_until(fact, *, what, timeout_s=2 * waiting.PATIENCE_S):
    """As `tests.waiting` does it, with a service that may not listen yet."""

    def asked():
        with contextlib.suppress(httpx2.TransportError):
            return fact()

    return waiting.wait_until(asked, what, timeout_s=timeout_s)


def descendants(process_id):
    """Ids of all processes below one, from /proc."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            after_name = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(after_name[1])
    found, level = [], [process_id]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        found += level
    return found


def command_line(process_id):
    with contextlib.suppress(OSError):
        return (Path("/proc") / str(process_id) / "cmdline").read_bytes().decode()
    return ""


def is_running(process_id):
    return not waiting.has_ended(process_id)


class Service:
    """One service on a free port."""

    def __init__(self, folder, *command, database_url=None, environment=None):
        self.port = free_port()
        self.log = (folder / "service.log").open("w+")
        everything = {
            **os.environ,
            "SIGHTGLASS_DATA_DIR": str(folder / "data"),
            "SIGHTGLASS_DATABASE_URL": database_url or "",
            "SIGHTGLASS_PORT": str(self.port),
            "SIGHTGLASS_OFFLINE": "1",
            "SIGHTGLASS_MLFLOW_TRACKING_URI": "off",
            **(environment or {}),
        }
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=everything,
            stdout=self.log,
            stderr=self.log,
        )
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def wait_until_ready(self):
        wait_until(lambda: self.client.get("/ready").status_code == 200, what="/ready is 200")

    def stop(self):
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(waiting.PATIENCE_S)
        self.log.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory, new_database_url):
    folder = tmp_path_factory.mktemp("service")
    service = Service(folder, "tests/acceptance/stand_in.py", database_url=new_database_url())
    try:
        service.wait_until_ready()
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="module")
def dataset_id(service):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for label, colour in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
            for number in range(12):
                picture = io.BytesIO()
                Image.new("RGB", (32 + number, 32), tuple(min(255, part + number) for part in colour)).save(
                    picture, "PNG"
                )
                archive.writestr(f"{label}/{number}.png", picture.getvalue())
    answer = service.client.post("/api/cv/upload", files={"file": ("colours.zip", buffer.getvalue())})
    assert answer.status_code == 201, answer.text
    return answer.json()["dataset_id"]


def job_state(service, job_id):
    return service.client.get(f"/api/cv/jobs/{job_id}").json()


def test_the_api_answers_while_the_networks_are_still_loading(service):
    assert service.client.get("/health").json()["status"] == "ok"


def test_an_uploaded_picture_is_seen_again(service, dataset_id):
    url = service.client.get(f"/api/cv/datasets/{dataset_id}").json()["samples"]["red"][0]
    thumbnail = Image.open(io.BytesIO(service.client.get(url).content))
    red, _green, blue = thumbnail.getpixel((5, 5))
    assert red > 150 > blue


def test_an_upload_that_is_too_large_is_refused_on_the_wire(service):
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(10**13)}
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as wire:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        wire.sendall(f"POST /api/cv/upload HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
        assert wire.recv(1000).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "request_line",
    [b"GET /api/cv/datasets/%00 HTTP/1.1", b"GET /api/cv/datasets/%ED%A0%80 HTTP/1.1", b"BREW /health HTTP/1.1"],
)
def test_odd_requests_on_the_wire_are_4xx(service, request_line):
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as wire:
        wire.sendall(request_line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert wire.recv(1000).startswith(b"HTTP/1.1 4")


def test_a_running_job_is_cancelled_within_five_seconds_and_health_stays_fast_meanwhile(service, dataset_id):
    answer = service.client.post("/api/cv/train/start", json={"dataset_id": dataset_id})
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["job_id"]

    def trains():
        job = job_state(service, job_id)
        assert job["state"] in ("queued", "running"), job["error"]
        return job["candidates"]

    wait_until(trains, what="the job trains")
    times = []
    for _ in range(20):
        began = time.perf_counter()
        health = service.client.get("/health").json()
        times.append(time.perf_counter() - began)
        time.sleep(0.05)
    assert health["status"] == "ok"
    assert sorted(times)[len(times) // 2] < 0.05 * waiting.slowness()
    wait_until(lambda: service.client.get("/health").json()["jobs"]["running"] == 1, what="/health counts the job")
    with waiting.Meanwhile() as meanwhile:
        began = time.monotonic()
        assert service.client.post(f"/api/cv/jobs/{job_id}/cancel").status_code == 202
        wait_until(lambda: job_state(service, job_id)["state"] == "cancelled", what="the job is cancelled")
        taken = time.monotonic() - began
    assert taken < 5.5 * meanwhile.slowness()
    events = service.client.get(f"/api/cv/jobs/{job_id}/events").text
    assert '"state": "cancelled"' in events.rpartition("data: ")[2]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_a_worker_that_is_killed_comes_back_and_its_training_process_does_not_stay(service):
    def workers():
        return {one for one in descendants(service.process.pid) if len(descendants(one)) > 0}

    (worker,) = wait_until(lambda: workers() if len(workers()) == 1 else None, what="one worker has its processes")
    children = descendants(worker)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not any(is_running(child) for child in children), what="its children end")
    wait_until(lambda: workers() - {worker}, what="a new worker has a training process")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_term_stops_every_process(service):
    wait_until(lambda: len(descendants(service.process.pid)) >= 3, what="the worker has its processes")
    family = descendants(service.process.pid)
    service.process.terminate()
    assert service.process.wait(waiting.PATIENCE_S) == 0
    wait_until(lambda: not any(is_running(one) for one in family), what="no process stays")


def test_the_command_starts_it_and_term_ends_it(tmp_path):
    service = Service(tmp_path, "run_backend.py")
    try:
        wait_until(lambda: service.client.get("/health").status_code == 200, what="it answers")
        family = descendants(service.process.pid)
        service.process.terminate()
        assert service.process.wait(waiting.PATIENCE_S) == 0
        wait_until(lambda: not any(is_running(one) for one in family), what="no process stays")
    finally:
        service.stop()


def test_an_open_address_without_keys_is_refused_with_the_next_step(tmp_path):
    done = subprocess.run(
        [sys.executable, "run_backend.py", "--host", "0.0.0.0", "--port", str(free_port())],
        cwd=ROOT,
        env={**os.environ, "SIGHTGLASS_DATA_DIR": str(tmp_path), "SIGHTGLASS_API_KEYS": ""},
        capture_output=True,
        text=True,
        timeout=2 * waiting.PATIENCE_S,
        check=False,
    )
    assert done.returncode == 2
    assert "SIGHTGLASS_API_KEYS" in done.stderr


def test_a_setting_that_does_not_fit_is_named(tmp_path):
    done = subprocess.run(
        [sys.executable, "run_backend.py", "--port", "99999"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "SIGHTGLASS_PORT is 99999" in done.stderr
