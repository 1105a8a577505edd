"""Two machines, as processes with data folders of their own, on one PostgreSQL and one S3 server."""

import contextlib
import io
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from tests.conftest import draw_picture
from tests.environment import clean_environment
from tests.ports import free_port
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[2]
LABELS = ("circle", "square")


class Machine:
    """One service with its own data folder."""

    def __init__(self, folder, name, environment, *command):
        port = free_port()
        self.data = folder / name
        self.log = (folder / f"{name}.log").open("w+")
        own = {"SIGHTGLASS_DATA_DIR": str(self.data), "SIGHTGLASS_PORT": str(port)}
        self.process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env={**environment, **own}, stdout=self.log, stderr=self.log
        )
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)

    def said(self):
        self.log.flush()
        return Path(self.log.name).read_text()

    def wait_for(self, path, *, timeout_s=2 * PATIENCE_S):
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            assert self.process.poll() is None, self.said()[-3000:]
            with contextlib.suppress(httpx2.TransportError):
                if self.client.get(path).status_code == 200:
                    return
            time.sleep(0.2)
        raise AssertionError(f"no answer to {path}: {self.said()[-3000:]}")

    def stop(self):
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)
        self.log.close()


@pytest.fixture
def start(tmp_path, postgresql, object_storage):
    """Start a machine; all of one test share an empty database, which the first to come migrates, and a bucket."""
    database = postgresql.empty_database()
    environment = {
        **clean_environment(),
        **object_storage.environment,
        "SIGHTGLASS_DATABASE_URL": postgresql.guarded(database),
        "SIGHTGLASS_STORAGE_URL": object_storage.new_folder(),
        "SIGHTGLASS_OFFLINE": "1",
        "SIGHTGLASS_CONCURRENT_JOBS": "1000",  # more than one machine has cores, or one could fill the limit alone
        "SIGHTGLASS_MLFLOW_TRACKING_URI": "off",
        "QUICK_STAND_IN_NOTES": str(tmp_path / "notes.txt"),
    }
    machines = []

    def start(name, *command):
        machines.append(Machine(tmp_path, name, environment, *command))
        return machines[-1]

    yield start
    for machine in machines:
        machine.stop()
    postgresql.drop(database)


@pytest.fixture(scope="module")
def pictures():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for place, label in enumerate(LABELS):
            for number in range(12):
                archive.writestr(f"{label}/{number}.png", png(label, place * 100 + number))
    return buffer.getvalue()


def png(label, seed):
    picture = io.BytesIO()
    draw_picture(label, seed).save(picture, "PNG")
    return picture.getvalue()


def upload(machine, content):
    answer = machine.client.post("/api/cv/upload", files={"file": ("pictures.zip", content)})
    assert answer.status_code == 201, answer.text
    return answer.json()["dataset_id"]


def test_uploaded_here_trained_there_and_answered_by_both(start, pictures):
    here = start("here", "run_backend.py", "--no-worker")
    there = start("there", "run_backend.py")
    for machine in (here, there):
        machine.wait_for("/ready")
    dataset_id = upload(here, pictures)
    recipe = {"dataset_id": dataset_id, "models": ["mobilenetv3_large"], "preset": "fast"}
    started = here.client.post("/api/cv/train/start", json=recipe)
    assert started.status_code == 202, started.text
    job = wait_for_end(here, started.json()["job_id"])
    assert job["state"] == "succeeded", job["error"]

    results = [machine.client.get(f"/api/cv/results/{dataset_id}").json() for machine in (here, there)]
    assert results[0] == results[1]
    model_id = results[0]["model_id"]
    assert (there.data / "models" / model_id / "model.pth").is_file()
    assert not (here.data / "models" / model_id).exists()  # nobody has asked for it here yet
    picture = png("square", 999)
    answers = [
        machine.client.post(f"/api/cv/predict/{dataset_id}", files={"file": ("a.png", picture)}).json()
        for machine in (here, there)
    ]
    assert answers[0]["predictions"] == answers[1]["predictions"]
    downloads = [machine.client.get(f"/api/cv/models/{model_id}/download") for machine in (here, there)]
    assert downloads[0].status_code == 200
    assert downloads[0].content == downloads[1].content
    thumbnail = there.client.get(f"/api/cv/datasets/{dataset_id}").json()["samples"]["circle"][0]
    assert Image.open(io.BytesIO(there.client.get(thumbnail).content)).size == (48, 48)
    for machine in (here, there):
        assert "p%40ss" not in machine.said()
        assert "s3cr3t" not in machine.said()


def test_two_machines_serve_one_queue_and_do_no_job_twice(start, pictures, tmp_path):
    machines = [start(name, "tests/acceptance/quick_stand_in.py") for name in ("one", "other")]
    for machine in machines:
        machine.wait_for("/ready")
    dataset_id = upload(machines[0], pictures)
    jobs = []
    for number in range(30):
        answer = machines[number % 2].client.post("/api/cv/train/start", json={"dataset_id": dataset_id})
        assert answer.status_code == 202, answer.text
        jobs.append(answer.json()["job_id"])
    ended = [wait_for_end(machines[0], job_id) for job_id in jobs]
    assert {job["state"] for job in ended} == {"succeeded"}
    done = [line.split() for line in (tmp_path / "notes.txt").read_text().splitlines()]
    assert Counter(job_id for job_id, _ in done) == Counter(jobs)
    assert {name for _, name in done} == {"one", "other"}


def wait_for_end(machine, job_id, *, timeout_s=300):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        job = machine.client.get(f"/api/cv/jobs/{job_id}").json()
        if job["state"] in ("succeeded", "failed", "cancelled"):
            return job
        time.sleep(0.3)
    raise AssertionError(f"job '{job_id}' has not ended: {job}\n{machine.said()[-2000:]}")
