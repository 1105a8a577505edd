"""The main job against real processes: upload, compare, look, predict, download, and the download opened elsewhere."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import httpx2
import pytest

from tests.environment import clean_environment
from tests.ports import free_port
from tests.waiting import PATIENCE_S, Meanwhile, wait_until

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """The real service on a free port, offline, with MLflow's default store in a temporary folder."""
    folder = tmp_path_factory.mktemp("service")
    port = free_port()
    environment = {
        **clean_environment(),
        "SIGHTGLASS_DATA_DIR": str(folder / "data"),
        "SIGHTGLASS_PORT": str(port),
        "SIGHTGLASS_OFFLINE": "1",
    }
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "run_backend.py"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
                _wait_until_ready(client, process, folder / "log.txt")
                yield client
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _wait_until_ready(client, process, log, seconds=2 * PATIENCE_S):
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            if client.get("/ready").status_code == 200:
                return
        except httpx2.TransportError:
            pass  # not listening yet
        time.sleep(0.2)
    pytest.fail(f"the service did not become ready:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def dataset(api):
    archive = ROOT / "sample_datasets" / "shapes.zip"
    with archive.open("rb") as file:
        answer = api.post("/api/cv/upload", files={"file": ("shapes.zip", file, "application/zip")})
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def finished(api, dataset):
    """The finished job, its results, and how long /health took while it ran, in ms on a quiet machine."""
    recipe = {"dataset_id": dataset["dataset_id"], "models": ["efficientnet_lite0", "resnet18"]}
    answer = api.post("/api/cv/train/start", json=recipe)
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["job_id"]
    health_ms, end = [], time.monotonic() + 450
    with Meanwhile() as meanwhile:
        while time.monotonic() < end:
            started = time.perf_counter()
            assert api.get("/health").json()["status"] == "ok"
            health_ms.append((time.perf_counter() - started) * 1000)
            job = api.get(f"/api/cv/jobs/{job_id}").json()
            if job["state"] in {"succeeded", "failed", "cancelled"}:
                break
            time.sleep(0.2)
    assert job["state"] == "succeeded", job
    slower = meanwhile.slowness()
    return job, api.get(f"/api/cv/results/{dataset['dataset_id']}").json(), [ms / slower for ms in health_ms]


def pictures(count):
    """Pictures of the sample set, spread over its classes, as the bytes of their files."""
    with zipfile.ZipFile(ROOT / "sample_datasets" / "shapes.zip") as archive:
        names = sorted(name for name in archive.namelist() if not name.endswith("/"))
        step = max(1, len(names) // count)
        return [(name, archive.read(name)) for name in names[::step][:count]]


def test_a_comparison_ends_with_a_leaderboard_that_a_person_can_trust(finished):
    job, results, _ = finished
    assert job["progress"] == 1.0
    names = {row["name"]: row for row in results["leaderboard"]}
    assert set(names) == {"efficientnet_lite0", "resnet18", "baseline"}
    assert names["efficientnet_lite0"]["weights_source"] == "bundled"
    assert names["resnet18"]["weights"] == "scratch"
    assert results["best_model"]["accuracy"] > names["baseline"]["accuracy"]
    low, high = results["test"]["accuracy_ci95"]
    assert low <= results["test"]["accuracy"] <= high


def test_mlflow_has_the_run_with_a_nested_run_for_each_network(finished):
    _, results, _ = finished
    assert results["tracking"]["status"] == "ok", results["tracking"]


def test_health_stays_quick_while_training_runs(finished):
    _, _, health_ms = finished
    ordered = sorted(health_ms)
    median = ordered[len(ordered) // 2]
    assert median < 50, f"median {median:.0f} ms over {len(ordered)} calls, worst {ordered[-1]:.0f} ms"


def test_a_prediction_comes_with_confidence_familiarity_and_a_heat_map(api, dataset, finished):
    name, picture = pictures(20)[3]
    answer = api.post(
        f"/api/cv/predict/{dataset['dataset_id']}?top_k=3&explain=true", files={"file": (name, picture, "image/png")}
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    confidences = [entry["confidence"] for entry in body["predictions"]]
    assert len(confidences) == 3
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) <= 1.0 + 1e-6
    assert body["model"]["name"] == finished[1]["best_model"]["name"]
    assert body["heatmap_png"]
    assert body["similar"]
    overlay = api.post(f"/api/cv/explain/{dataset['dataset_id']}", files={"file": (name, picture, "image/png")})
    assert overlay.headers["content-type"] == "image/png"


OPEN_ELSEWHERE = """
import json, sys
import torch, timm
import numpy as np
from PIL import Image

checkpoint = torch.load(sys.argv[1], weights_only=True)
model = timm.create_model(checkpoint["timm_name"], num_classes=len(checkpoint["class_names"])).eval()
model.load_state_dict(checkpoint["state_dict"])
how = checkpoint["preprocessing"]
assert how["resize"] == "squash", how
answers = []
for path in sys.argv[2:]:
    image = Image.open(path).convert("RGB").resize((how["width"], how["height"]), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255
    pixels = (pixels - torch.tensor(how["mean"])[:, None, None]) / torch.tensor(how["std"])[:, None, None]
    with torch.inference_mode():
        answers.append(checkpoint["class_names"][int(model(pixels[None]).argmax())])
assert not any(name == "backend" or name.startswith("backend.") for name in sys.modules)
print(json.dumps(answers))
"""


def test_a_process_with_only_torch_and_timm_answers_as_the_api_does(api, dataset, finished, tmp_path):
    download = api.get(f"/api/cv/models/{dataset['dataset_id']}/download")
    assert download.status_code == 200
    assert "attachment" in download.headers["content-disposition"]
    (tmp_path / "model.pth").write_bytes(download.content)
    paths, answered = [], []
    for index, (name, picture) in enumerate(pictures(20)):
        paths.append(str(tmp_path / f"{index}.png"))
        Path(paths[-1]).write_bytes(picture)
        answer = api.post(f"/api/cv/predict/{dataset['dataset_id']}", files={"file": (name, picture, "image/png")})
        answered.append(answer.json()["predictions"][0]["label"])
    script = tmp_path / "open_elsewhere.py"
    script.write_text(OPEN_ELSEWHERE)
    told = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "model.pth"), *paths],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    assert len(answered) == 20
    assert json.loads(told.stdout.splitlines()[-1]) == answered


def test_the_default_model_answers_the_short_contract(api, finished):
    name, picture = pictures(20)[0]
    body = api.post("/predict", files={"file": (name, picture, "image/png")}).json()
    assert body["pred_class"] == max(body["probs"], key=body["probs"].get)
    assert sum(body["probs"].values()) == pytest.approx(1.0, abs=1e-4)


def test_cancelling_a_running_job_takes_less_than_five_seconds(api, dataset):
    recipe = {"dataset_id": dataset["dataset_id"], "models": ["resnet18"], "strategy": "finetune", "num_epochs": 500}
    job_id = api.post("/api/cv/train/start", json=recipe).json()["job_id"]

    def in_the_epochs():
        job = api.get(f"/api/cv/jobs/{job_id}").json()
        assert job["state"] in {"queued", "running"}, job
        return any((row["epoch"] or 0) >= 1 for row in job["candidates"])

    wait_until(in_the_epochs, "an epoch is over", timeout_s=2 * PATIENCE_S)
    with Meanwhile() as meanwhile:
        started = time.monotonic()
        assert api.post(f"/api/cv/jobs/{job_id}/cancel").status_code == 202
        wait_until(lambda: api.get(f"/api/cv/jobs/{job_id}").json()["state"] == "cancelled", "the job is cancelled")
        taken = time.monotonic() - started
    assert taken < 5 * meanwhile.slowness()


def test_bad_archives_and_pictures_get_a_useful_4xx(api, dataset, finished):
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    for body in (b"", b"not a zip", empty.getvalue()):
        answer = api.post("/api/cv/upload", files={"file": ("x.zip", body, "application/zip")})
        assert 400 <= answer.status_code < 500
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert len(answer.json()["detail"]) > 20
    answer = api.post(f"/api/cv/predict/{dataset['dataset_id']}", files={"file": ("x.png", b"no picture", "image/png")})
    assert answer.status_code == 422
    assert api.get("/health").json()["status"] == "ok"
