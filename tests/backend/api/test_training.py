import json
import shutil
import threading
import time

import pytest
from sqlalchemy import update

from backend.contracts import Recipe
from backend.storage.tables import results

PROBLEM = "application/problem+json"


def start(client, dataset_id, **options):
    wait = options.pop("wait", None)
    params = {} if wait is None else {"wait": wait}
    return client.post("/api/cv/train/start", json={"dataset_id": dataset_id, **options}, params=params)


def test_a_start_is_a_job_in_the_queue_with_links(client, dataset_id):
    answer = start(client, dataset_id, models=["resnet18"], num_epochs=1)
    body = answer.json()
    assert answer.status_code == 202
    assert (body["state"], body["kind"], body["dataset_id"]) == ("queued", "train_images", dataset_id)
    assert body["queue_position"] == 1
    assert body["recipe"]["models"] == ["resnet18"]
    assert body["links"]["self"] == answer.headers["location"] == f"/api/cv/jobs/{body['job_id']}"
    assert client.get(body["links"]["self"]).json() == body
    assert client.get(body["links"]["results"]).status_code == 404


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"models": ["resnet-18"]}, "Did you mean 'resnet18'"),
        ({"models": []}, "models"),
        ({"models": ["timm:nonsense"]}, "timm has no network"),
        ({"models": ["\x00"]}, "resnet18"),
        ({"classes": ["circle", "trinagle"]}, "trinagle"),
        ({"classes": ["circle"]}, "classes"),
        ({"augmentations": ["horizontal_flop"]}, "horizontal_flip"),
        ({"overrides": {"finetune.backbone_rl": 1}}, "finetune.backbone_lr"),
        ({"overrides": {"loss.gamma": 2}}, "'cross_entropy' has no 'gamma'"),
        ({"overrides": {"loss.type": "focal", "loss.alpha": [0.1, 0.2, 0.3, 0.4, 0.5]}}, "lists 5 numbers"),
        ({"overrides": {"augment.vertical_flop": True}}, "vertical_flip"),
        ({"overrides": {"data.resolution": "ful"}}, "data.resolution"),
        ({"overrides": {"finetune.backbone_lr": 10**400}}, "backbone_lr"),
        ({"num_epochs": 0}, "'num_epochs' does not fit"),
        ({"num_epochs": 10**30}, "'num_epochs' does not fit"),
        ({"num_epochs": "many"}, 'seen: "many"'),
        ({"num_epochs": None}, "num_epochs"),
        ({"num_epochs": True}, "not true or false"),
        ({"test_size": False}, "not true or false"),
        ({"overrides": {"finetune.backbone_lr": True}}, "not true or false"),
        ({"classes": ["circle", "circle"]}, "choose at least 2"),
        ({"test_size": 1.5}, "'test_size' does not fit"),
        ({"epochs": 3}, "Did you mean 'num_epochs'"),
        ({"seed": -1}, "seed"),
        ({"time_budget_s": 0}, "time_budget_s"),
        ({"time_budget_s": True}, "not true or false"),
        ({"strategy": "magic"}, "strategy"),
        ({"class_balance": "even"}, "'class_balance' does not fit"),
        ({"rank_by": "f1"}, "'rank_by' does not fit"),
        ({"ensemble": "perhaps"}, "'ensemble' does not fit"),
        ({"ensembles": True}, "Did you mean 'ensemble'"),
        ({"overrides": None}, "'overrides' does not fit"),
        ({"preset": "defects", "overrides": []}, "'overrides' does not fit"),
        ({"overrides": {"loss.gama": 2}}, "Did you mean 'loss.gamma'"),
        ({"overrides": {"model.gamma": 2}}, "Did you mean 'loss.gamma'"),
        (
            {"overrides": {"loss.alpha": {"a": 1}}},
            "'overrides.loss.alpha' does not fit: a number, a word, true or false",
        ),
        ({"overrides": {"loss.alpha": [0.1, "x"]}}, 'or a list of numbers is needed (seen: [0.1, "x"]).'),
        ({"seed": True}, "'seed' does not fit: a number is needed, not true or false (seen: true)"),
        ({"models": ["efficientnet_lite0_cbm"]}, "Did you mean 'efficientnet_lite0_cbam'"),
        ({"overrides": {"loss.gamma": -1}}, "'loss.gamma' does not fit"),
        ({"overrides": {"loss.type": "focl"}}, "Did you mean 'focal'"),
        ({"strategy": "prob"}, "Did you mean 'probe'"),
        ({"overrides": {"optimizer.lr": 1, "finetune.backbone_lr": 2}}, "say it once"),
        ({"overrides": {"finetune.patience": None}}, "'finetune.patience' does not fit"),
        ({"seed": 1, "overrides": {"experiment.seed": 2}}, "say it once"),
        ({"dataset_id": 5}, "dataset_id"),
        ({"dataset_id": "A B"}, "dataset_id"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_and_named(shared_client, shared_dataset_id, options, said):
    before = shared_client.get("/api/cv/jobs").json()  # other tests share the service
    answer = shared_client.post("/api/cv/train/start", json={"dataset_id": shared_dataset_id, **options})
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert said in answer.json()["detail"]
    assert shared_client.get("/api/cv/jobs").json() == before


def test_a_class_with_too_few_images_is_refused_at_the_start(client, scarce_zip):
    dataset_id = client.post("/api/cv/upload", files={"file": ("few.zip", scarce_zip)}).json()["dataset_id"]
    answer = start(client, dataset_id)
    assert answer.status_code == 422
    assert "The class 'scarce' has 2 images. At least 3 are needed" in answer.json()["detail"]
    assert start(client, dataset_id, classes=["circle", "square"]).status_code == 202


def test_a_dataset_whose_files_are_gone_is_not_trained_on(client, dataset_id, settings):
    shutil.rmtree(settings.datasets_dir / dataset_id)
    for answer in (start(client, dataset_id), client.get(f"/api/cv/datasets/{dataset_id}")):
        assert answer.status_code == 404
        assert "delete the dataset and upload it again" in answer.json()["detail"]
        assert str(settings.data_dir) not in answer.text
    assert client.delete(f"/api/cv/datasets/{dataset_id}").status_code == 204


def test_a_timm_name_is_checked_by_timm(client, dataset_id):
    assert start(client, dataset_id, models=["timm:resnet10t"]).status_code == 202


def test_an_unknown_dataset_is_not_found(shared_client):
    answer = start(shared_client, "ds-none")
    assert answer.status_code == 404
    assert "ds-none" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"Content-Type": "application/json"}, b"{"),
        ({"Content-Type": "application/json"}, b""),
        ({"Content-Type": "application/json"}, b"\xff\xfe\xfa"),
        ({"Content-Type": "application/json"}, b"[" * 100_000),
        ({"Content-Type": "application/json"}, b'{"seed": ' + b"9" * 10_000 + b"}"),
        ({"Content-Type": "application/json"}, b'{"dataset_id": "\\ud800", "\\udfff": "\\ud800"}'),
        ({"Content-Type": "application/json"}, b'{"dataset_id": "ds-1", "test_size": NaN}'),
        ({"Content-Type": "application/json"}, b'{"dataset_id": "ds-1", "time_budget_s": Infinity}'),
        ({"Content-Type": "application/json"}, b"null"),
        ({"Content-Type": "application/json"}, b"[1]"),
        ({"Content-Type": "application/json; charset=nonsense"}, b"{}"),
        ({"Content-Type": "text/plain"}, b"{}"),
        ({"Content-Type": "application/xml"}, b"<a/>"),
        ({}, b"\x00"),
    ],
)
def test_a_body_that_is_no_recipe_is_a_problem(shared_client, headers, content):
    answer = shared_client.post("/api/cv/train/start", content=content, headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == PROBLEM
    assert len(answer.json()["detail"]) > 10


def test_a_json_body_larger_than_a_mebibyte_is_refused(shared_client):
    answer = shared_client.post("/api/cv/train/start", json={"dataset_id": "x" * 2 * 1024 * 1024})
    assert answer.status_code == 413


@pytest.mark.parametrize("wait", ["-1", "nan", "inf", "99999999", "x", ""])
def test_an_impossible_wait_is_refused(shared_client, shared_dataset_id, wait):
    assert start(shared_client, shared_dataset_id, wait=wait).status_code == 422


class Inline(threading.Thread):
    """A worker's part, played in a thread: claims the one job and ends it."""

    def __init__(self, services, end):
        super().__init__()
        self.services, self.end = services, end

    def run(self):
        while (job := self.services.queue.claim("w")) is None:
            time.sleep(0.02)
        self.end(job)


def test_with_wait_the_results_come_with_the_answer(client, services, dataset_id):
    from service_fakes import model_info, results_record

    def publish(job):
        outcome = results_record(job.job_id, dataset_id=dataset_id)
        services.catalog.publish(outcome, model_info(dataset_id=dataset_id, job_id=job.job_id))
        services.queue.finish(job.job_id, worker_id="w")

    worker = Inline(services, publish)
    worker.start()
    answer = start(client, dataset_id, wait=60)
    worker.join()
    body = answer.json()
    assert answer.status_code == 200
    assert body["best_model"]["name"] == "resnet18"
    assert client.get(f"/api/cv/results/{dataset_id}").json() == body
    assert client.get(f"/api/cv/jobs/{body['job_id']}/results").json() == body


def test_with_wait_a_job_that_takes_longer_is_answered_as_a_job(client, dataset_id):
    answer = start(client, dataset_id, wait=0.3)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")


def test_with_wait_a_failed_job_says_why(client, services, dataset_id):
    worker = Inline(services, lambda job: services.queue.fail(job.job_id, "too few images", worker_id="w"))
    worker.start()
    answer = start(client, dataset_id, wait=60)
    worker.join()
    assert answer.status_code == 409
    assert "too few images" in answer.json()["detail"]


def test_missing_results_say_where_the_job_stands(client, dataset_id):
    job_id = start(client, dataset_id).json()["job_id"]
    assert job_id in client.get(f"/api/cv/results/{dataset_id}").json()["detail"]
    assert "is queued" in client.get(f"/api/cv/jobs/{job_id}/results").json()["detail"]


def test_the_choices_of_the_search_reach_the_job(client, dataset_id):
    chosen = {"class_balance": "plain", "rank_by": "macro_f1", "ensemble": False, "time_budget_s": 90}
    recipe = start(client, dataset_id, **chosen).json()["recipe"]
    assert {name: recipe[name] for name in chosen} == chosen


def published(services, dataset_id, **changes):
    from service_fakes import model_info, results_record

    job_id = services.queue.enqueue("train_images", {}, dataset_id=dataset_id).job_id
    outcome = results_record(job_id, dataset_id=dataset_id, **changes)
    services.catalog.publish(outcome, model_info(dataset_id=dataset_id, job_id=job_id))
    return outcome


def test_all_that_the_search_found_out_passes_through(client, services, dataset_id):
    from service_fakes import findings

    outcome = published(services, dataset_id, **findings())
    body = client.get(f"/api/cv/results/{dataset_id}").json()
    assert body == outcome.model_dump(mode="json")
    assert body["leaderboard"][0]["tie"] is True
    assert body["suspect_labels"][0]["suggested"] == "square"
    assert body["best_model"]["members"][0]["weight"] == 0.6


def test_results_from_before_the_search_could_tell_more_still_open(client, services, dataset_id):
    outcome = published(services, dataset_id)
    record = outcome.model_dump(mode="json")
    for field in ("suspect_labels", "learning_curve", "calibration", "imbalance"):
        del record[field]
    del record["best_model"]["members"]
    for row in record["leaderboard"]:
        for field in ("tried", "train_images", "tie"):
            del row[field]
    with services.database.writing() as connection:
        connection.execute(update(results).values(record=json.dumps(record)))
    body = client.get(f"/api/cv/results/{dataset_id}").json()
    assert (body["suspect_labels"], body["learning_curve"], body["calibration"], body["imbalance"]) == (
        [],
        [],
        None,
        None,
    )
    assert (body["leaderboard"][0]["tie"], body["leaderboard"][0]["tried"]) == (False, None)
    assert body["best_model"]["members"] == []


def test_every_example_of_the_reference_is_a_recipe(shared_client):
    operation = shared_client.get("/openapi.json").json()["paths"]["/api/cv/train/start"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert len(examples) >= 3
    for example in examples.values():
        Recipe.model_validate(example["value"])
