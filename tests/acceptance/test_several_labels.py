"""Strips of steel as Severstal's came, the whole way through the API: upload, training, results, predictions, export."""

import base64
import dataclasses
import io

import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

from backend.contracts import RunControl
from backend.inference.exporters import standalone
from backend.main import VERBS, create_app
from backend.workflows.train_images import run_job
from tests.severstal_archive import severstal_zip, strip_jpeg

LITE = "efficientnet_lite0"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    from backend.config import Settings

    settings = Settings(data_dir=tmp_path_factory.mktemp("steel") / "data", offline=True, mlflow_tracking_uri="off")
    verbs = dataclasses.replace(VERBS, queue_check=lambda *args, **kwargs: None)
    with TestClient(create_app(settings, verbs=verbs)) as client:
        client.settings = settings
        yield client


@pytest.fixture(scope="module")
def dataset(client):
    answer = client.post("/api/cv/upload", files={"file": ("steel.zip", severstal_zip())})
    assert answer.status_code == 201, answer.text
    return answer.json()


def train(client, dataset, **options):
    body = {"dataset_id": dataset["dataset_id"], "models": [LITE], "strategy": "probe", **options}
    answer = client.post("/api/cv/train/start", json=body)
    assert answer.status_code == 202, answer.text
    queue = client.app.state.services.queue
    job = queue.claim("w")
    run_job(job, control=RunControl(), settings=client.settings)
    queue.finish(job.job_id, worker_id="w")
    return client.get(f"/api/cv/jobs/{job.job_id}/results").json()


@pytest.fixture(scope="module")
def results(client, dataset):
    return train(client, dataset, overrides={"data.split": "stratified_70_15_15"})


def test_the_archive_is_read_with_all_its_labels(dataset):
    assert (dataset["task"], dataset["total_images"]) == ("multilabel", 30)
    assert set(dataset["class_counts"]) == {"1", "3", "4"}


def test_results_say_what_is_found_of_each_label(results):
    assert results["task"] == "multilabel"
    assert results["confusion_matrix"] is None
    assert [one["label"] for one in results["per_class"]] == ["1", "3", "4"]
    for score, table in zip(results["per_class"], results["label_confusion"], strict=True):
        (rest, alarms), (misses, finds) = table["matrix"]
        assert rest + alarms + misses + finds == results["split"]["test"]
        assert misses + finds == score["support"] >= 1
        assert 0 < score["threshold"] < 1
        assert 0 <= score["average_precision"] <= 1
    test = results["test"]
    assert test["accuracy"] == test["subset_accuracy"]
    assert {"macro_f1", "micro_f1", "hamming_loss", "mean_average_precision"} <= test.keys()
    best, baseline = results["leaderboard"]
    assert (best["name"], baseline["name"]) == (LITE, "baseline")
    assert best["val_mean_average_precision"] > baseline["val_mean_average_precision"] + 0.2
    assert results["imbalance"]["ranked_by"] == "mean_average_precision"
    counts = results["split"]["label_counts"]
    assert all(min(three) >= 1 for three in counts.values())
    assert len(results["learning_curve"]) == 4
    assert len(results["calibration"]["offsets"]) == 3


def test_a_strip_is_answered_label_by_label(client, results):
    answer = client.post(
        f"/api/cv/predict/{results['model_id']}",
        files={"file": ("strip.jpg", strip_jpeg("3", "4"))},
        params={"top_k": 5, "explain": True},
    )
    body = answer.json()
    assert answer.status_code == 200, answer.text
    said = {one["label"]: one for one in body["predictions"]}
    assert set(said) == {"1", "3", "4"}
    assert [one["confidence"] for one in body["predictions"]] == sorted(
        (one["confidence"] for one in body["predictions"]), reverse=True
    )
    thresholds = {one["label"]: one["threshold"] for one in results["per_class"]}
    for label, one in said.items():
        assert one["present"] is (one["confidence"] >= thresholds[label] - 1e-6)
    assert sum(one["confidence"] for one in body["predictions"]) != pytest.approx(1.0, abs=1e-3)
    assert Image.open(io.BytesIO(base64.b64decode(body["heatmap_png"]))).size == (1600, 256) or body["heatmap_png"]


def test_each_label_has_its_own_heat_map(client, results):
    maps = [
        client.post(
            f"/api/cv/explain/{results['model_id']}",
            params={"class_name": label},
            files={"file": ("strip.jpg", strip_jpeg("1", "3"))},
        ).content
        for label in ("1", "3")
    ]
    assert maps[0] != maps[1]


def test_the_plain_route_gives_each_label_its_own_probability(client, results):
    assert client.post(f"/api/cv/models/{results['model_id']}/promote").status_code == 200
    body = client.post("/predict", files={"file": ("strip.jpg", strip_jpeg())}).json()
    assert set(body["probs"]) == {"1", "3", "4"}
    assert body["pred_class"] == max(body["probs"], key=body["probs"].get)
    present = {one["label"] for one in results["per_class"] if body["probs"][one["label"]] >= one["threshold"]}
    assert set(body["present"]) == present


def test_the_model_s_file_says_what_its_scores_are(client, results):
    content = client.get(f"/api/cv/models/{results['model_id']}/download").content
    checkpoint = torch.load(io.BytesIO(content), weights_only=True)
    assert checkpoint["task"] == "multilabel"
    assert checkpoint["thresholds"] == pytest.approx([one["threshold"] for one in results["per_class"]], abs=1e-6)


def test_the_script_of_the_bundle_answers_as_the_service_does(client, results, tmp_path):
    saved = tmp_path / "model.pth"
    saved.write_bytes(client.get(f"/api/cv/models/{results['model_id']}/download").content)
    strip = tmp_path / "strip.jpg"
    strip.write_bytes(strip_jpeg("3"))
    alone = standalone.load(saved)
    served = client.post(
        f"/api/cv/predict/{results['model_id']}", files={"file": ("strip.jpg", strip.read_bytes())}
    ).json()["predictions"]
    assert dict(alone.predict(strip)) == pytest.approx({one["label"]: one["confidence"] for one in served}, abs=1e-3)
    assert set(alone.present(strip)) == {one["label"] for one in served if one["present"]}


def test_test_images_can_be_looked_through_by_label(client, results):
    page = client.get(f"/api/cv/jobs/{results['job_id']}/test-predictions").json()
    assert page["total"] == results["split"]["test"]
    (_, alarms), (misses, _) = results["label_confusion"][1]["matrix"]
    missed = client.get(
        f"/api/cv/jobs/{results['job_id']}/test-predictions", params={"label": "3", "verdict": "missed"}
    ).json()
    alarmed = client.get(
        f"/api/cv/jobs/{results['job_id']}/test-predictions", params={"label": "3", "verdict": "false_alarm"}
    ).json()
    assert (missed["total"], alarmed["total"]) == (misses, alarms)
    assert all("3" in one["labels"] and "3" not in one["predicted_labels"] for one in missed["images"])


def test_a_part_of_the_labels_can_be_learned(client, dataset):
    some = train(client, dataset, classes=["3", "4"])
    assert [one["label"] for one in some["per_class"]] == ["3", "4"]
    assert sum(some["split"][part] for part in ("train", "val", "test")) == 30


def test_costs_move_the_line_and_say_what_that_comes_to(client, results):
    where = f"/api/cv/models/{results['model_id']}/thresholds"
    own = client.get(where).json()
    assert (own["chosen_by"], own["test_images"]) == ("model", results["split"]["test"])
    assert own["macro_f1"] == pytest.approx(results["test"]["macro_f1"])
    for label, score in zip(own["labels"], results["per_class"], strict=True):
        assert label["recall"] == pytest.approx(score["recall"])
        assert label["curve"][0][2] == 1.0  # the lowest threshold finds all
    dear = client.get(where, params={"miss_cost": 50, "false_alarm_cost": 1}).json()
    assert [one["threshold"] for one in dear["labels"]] == pytest.approx([1 / 51] * 3, abs=1e-6)
    assert sum(one["missed"] for one in dear["labels"]) <= sum(one["missed"] for one in own["labels"])
    mistakes = [50 * one["missed"] + one["false_alarms"] for one in dear["labels"]]
    assert dear["cost"] == pytest.approx(sum(mistakes))
    strip = {"file": ("strip.jpg", strip_jpeg("3"))}
    url = f"/api/cv/predict/{results['model_id']}"
    asked = client.post(url, files=strip, params={"threshold": ["1=0", "3=1", "4=0.5"]}).json()["predictions"]
    assert {one["label"]: one["present"] for one in asked} | {"4": None} == {"1": True, "3": False, "4": None}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"miss_cost": 5}, "Give both"),
        ({"miss_cost": 0, "false_alarm_cost": 1}, "miss_cost"),
        ({"threshold": "3=2"}, "label=probability"),
        ({"threshold": "33=0.2"}, "Did you mean '3'"),
    ],
)
def test_thresholds_that_cannot_be_meant_are_refused(client, results, params, said):
    answer = client.get(f"/api/cv/models/{results['model_id']}/thresholds", params=params)
    assert 400 <= answer.status_code < 500
    assert said in answer.json()["detail"]
