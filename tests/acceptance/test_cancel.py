"""A real training, cancelled when its first network has finished: that network is a model, and answers.

How quickly is shown with stand-ins (test_service.py, tests/backend/execution): a busy machine needs more than 5 s for a
network, and a job that needs more is ended without.
"""

import time
import zipfile

import httpx2
import pytest

from benchmarks.parts import ROOT
from benchmarks.service import FINAL, running_service, upload

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]
SAMPLE = ROOT / "sample_datasets" / "digits.zip"


def finished(client, job_id):
    job = client.get(f"/api/cv/jobs/{job_id}").json()
    assert job["state"] in ("queued", "running"), job
    return [row["name"] for row in job["candidates"] if row["state"] == "succeeded"]


def wait_for(fact, *, timeout_s):
    end = time.monotonic() + timeout_s
    while not (found := fact()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def test_cancelling_keeps_the_network_that_had_finished_as_a_model():
    with running_service("tests/acceptance/patient.py") as client:
        dataset_id = upload(client, SAMPLE)
        recipe = {"dataset_id": dataset_id, "models": ["efficientnet_lite0", "mobilenetv3_large"], "preset": "best"}
        job_id = client.post("/api/cv/train/start", json=recipe).json()["job_id"]
        done = wait_for(lambda: finished(client, job_id), timeout_s=600)
        assert client.post(f"/api/cv/jobs/{job_id}/cancel").status_code == 202
        job = wait_for(
            lambda: (job := client.get(f"/api/cv/jobs/{job_id}").json())["state"] in FINAL and job, timeout_s=300
        )
        assert job["state"] == "cancelled"
        assert {row["name"]: row["state"] for row in job["candidates"]}[done[0]] == "succeeded"
        results = client.get(f"/api/cv/jobs/{job_id}/results")
        assert results.status_code == 200, results.text
        assert results.json()["best_model"]["name"] in done
        assert any("cancelled" in note for note in results.json()["notes"])
        picture = zipfile.ZipFile(SAMPLE).read(
            next(n for n in zipfile.ZipFile(SAMPLE).namelist() if n.endswith(".png"))
        )
        answer = httpx2.post(f"{client.base_url}/api/cv/predict/{dataset_id}", files={"file": picture}, timeout=120)
        assert answer.status_code == 200, answer.text
