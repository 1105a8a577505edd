"""kill -9 at random moments of real trainings: they end well, with the results of a training that nobody disturbed."""

import contextlib
import io
import os
import random
import signal
import time
import zipfile
from pathlib import Path

import pytest

from backend.config import Settings
from backend.jobs.events import EventLog
from backend.storage.database import Database
from tests.acceptance.test_service import Service, command_line, descendants, is_running, job_state, wait_until
from tests.conftest import draw_picture, png_bytes
from tests.waiting import PATIENCE_S

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc"),
]
TIMES = {"train_seconds", "predict_ms_per_image"}
OWN = {"job_id", "model_id", "total_seconds", "tracking", "environment", "features"}
PROBE = {"strategy": "probe", "models": ["efficientnet_lite0", "mobilenetv3_large"]}
FINETUNE = {
    "strategy": "finetune",
    "models": ["mobilenetv3_large"],
    "num_epochs": 6,
    "batch_size": 8,
}
WAITS_S = 500.0  # for a job that was begun anew; 20 s on a machine that does nothing else
VICTIMS = ("training", "worker", "training", "service", "training")


class Kept:
    """A data folder, and the service on it, which is started again after each kill."""

    def __init__(self, folder):
        self.folder = folder
        self.service = None

    def start(self):
        self.service = Service(
            self.folder,
            "tests/acceptance/quick_to_miss.py",
            environment={"SIGHTGLASS_MLFLOW_TRACKING_URI": "", "SIGHTGLASS_JOB_ATTEMPTS": "20"},
        )
        self.service.wait_until_ready()
        return self.service

    def family(self):
        return descendants(self.service.process.pid)

    def training(self):
        """The training process: of the worker's children the one with torch in its memory."""
        return max((one for one in descendants(self.worker()) if "spawn_main" in command_line(one)), key=resident_kb)

    def worker(self):
        spawned = [one for one in descendants(self.service.process.pid) if "spawn_main" in command_line(one)]
        return next(one for one in spawned if any("spawn_main" in command_line(child) for child in descendants(one)))

    def kill(self, victim):
        family = self.family()
        if victim == "service":
            self.service.process.kill()
            self.service.process.wait(PATIENCE_S)
            self.service.stop()
            wait_until(lambda: not any(map(is_running, family)), what="its processes end with it")
            self.start()
        else:
            os.kill(self.training() if victim == "training" else self.worker(), signal.SIGKILL)


def resident_kb(process_id):
    with contextlib.suppress(OSError):
        for line in (Path("/proc") / str(process_id) / "status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1])
    return 0


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    kept = Kept(tmp_path_factory.mktemp("kill"))
    kept.start()
    yield kept
    kept.service.stop()


@pytest.fixture(scope="module")
def dataset_id(kept):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(60):
            label = ("circle", "square")[number % 2]
            archive.writestr(f"{label}/{number}.png", png_bytes(draw_picture(label, number)))
    answer = kept.service.client.post("/api/cv/upload", files={"file": ("shapes.zip", buffer.getvalue())})
    assert answer.status_code in (200, 201), answer.text
    return answer.json()["dataset_id"]


def begin(kept, dataset_id, options):
    body = {"dataset_id": dataset_id, "seed": 7, **options}
    answer = kept.service.client.post("/api/cv/train/start", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()["job_id"]


def state(kept, job_id):
    return wait_until(lambda: job_state(kept.service, job_id), what="the service answers")


def run_to_its_end(kept, job_id, *, timeout_s=WAITS_S):
    def ended():
        job = state(kept, job_id)
        return job if job["state"] in ("succeeded", "failed", "cancelled") else None

    job = wait_until(ended, timeout_s=timeout_s, what=f"job {job_id} ends")
    assert job["state"] == "succeeded", job["error"]
    return job


def disturb(kept, job_id, *, seed, longest_s):
    """Kill somebody each time the job has begun again, at a random moment; returns how often that came to pass."""
    random_moment = random.Random(seed)
    done, claim = 0, 0
    for victim in VICTIMS:
        # Until somebody has noticed the last kill, the job looks as it did before it.
        job = wait_until(
            lambda after=claim: begun(kept, job_id, after),
            timeout_s=WAITS_S,
            what=f"the job has begun again after {claim}",
        )
        if job["state"] == "succeeded":
            break
        time.sleep(random_moment.uniform(0.0, longest_s))
        if state(kept, job_id)["state"] != "running":
            break
        claim = last_claim(kept, job_id)
        kept.kill(victim)
        done += 1
    return done


def begun(kept, job_id, after):
    job = state(kept, job_id)
    assert job["state"] in ("queued", "running", "succeeded"), job["error"]
    at_work = job["state"] == "running" and job["stage"] not in ("queued", "starting")
    return job if job["state"] == "succeeded" or (at_work and last_claim(kept, job_id) > after) else None


def last_claim(kept, job_id):
    """The number of the event that says that a worker has taken the job: attempts may be given back, events are not."""
    database = Database(Settings(data_dir=kept.folder / "data").resolved_database_url)
    events = EventLog(database).since(job_id, limit=100_000)
    database.close()
    return max((one.event_id for one in events if one.type == "state" and one.data["state"] == "running"), default=0)


def results_of(kept, job_id):
    answer = kept.service.client.get(f"/api/cv/jobs/{job_id}/results")
    assert answer.status_code == 200, answer.text
    return answer.json()


def without_its_own(answer):
    results = {key: value for key, value in answer.items() if key not in OWN}
    results["leaderboard"] = [without_times(row) for row in results["leaderboard"]]
    results["best_model"] = without_times(results["best_model"])
    return results


def without_times(row):
    return {key: value for key, value in row.items() if key not in TIMES}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("options", "longest_s"), [(PROBE, 0.8), (FINETUNE, 3.0)], ids=["probe", "finetune"])
def test_a_training_that_is_killed_again_and_again_ends_as_one_undisturbed(kept, dataset_id, options, longest_s):
    disturbed = begin(kept, dataset_id, options)
    kills = disturb(kept, disturbed, seed=1, longest_s=longest_s)
    assert kills == len(VICTIMS), "the training was too short to be disturbed as often as that"
    run_to_its_end(kept, disturbed)
    calm = begin(kept, dataset_id, options)
    run_to_its_end(kept, calm)
    first, second = results_of(kept, disturbed), results_of(kept, calm)
    assert without_its_own(first) == without_its_own(second)
    # what earlier attempts of a run computed is its own work, not something that it found
    found = [results["features"] and results["features"]["at_hand"] for results in (first, second)]
    assert found == ([0, second["features"]["images"]] if options is PROBE else [None, None])


def test_nothing_is_left_over(kept, dataset_id):
    data = kept.folder / "data"
    jobs = kept.service.client.get("/api/cv/jobs").json()
    trained = [job for job in jobs if job["kind"] == "train_images"]
    models = kept.service.client.get("/api/cv/models").json()
    assert len(models) == len(trained) == len(list((data / "models").iterdir()))
    assert list((data / "jobs").iterdir()) == []
    # What is being written to the cache when the process dies goes with the entry that it was to be, or after a day.
    left = [entry for entry in data.rglob(".tmp-*") if data / "cache" not in entry.parents]
    assert left == []
    assert_no_mlflow_run_stays_running(data)
    family = kept.family()
    kept.service.process.terminate()
    assert kept.service.process.wait(PATIENCE_S) == 0
    wait_until(lambda: not any(map(is_running, family)), what="no process stays")


def assert_no_mlflow_run_stays_running(data):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{(data / 'mlflow.db').resolve()}")
    experiment = client.get_experiment_by_name("sightglass")
    runs = client.search_runs([experiment.experiment_id], "tags.`sightglass.kind` = 'job'")
    names = [run.info.run_name for run in runs]
    assert len(names) == len(set(names))
    assert {run.info.status for run in runs} == {"FINISHED"}
