"""The registry over HTTP: states, the way back, who did it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from service_fakes import dataset_info, model_info, results_record

from backend.contracts import EnsembleMember, TestPrediction, TestPredictions
from backend.errors import InputError
from backend.storage.answers import ANSWERS_FILE, write_answers

MODELS = "/api/cv/models"


@pytest.fixture
def publish(services):
    def add(number, dataset_id="ds-1", **changes):
        model_id, job_id = f"md-{number}", f"job-{number}"
        model = model_info(model_id, job_id=job_id, dataset_id=dataset_id, **changes)
        services.catalog.publish(results_record(job_id, model_id=model_id, dataset_id=dataset_id), model)
        folder = services.settings.models_dir / model_id
        folder.mkdir(parents=True)
        (folder / "model.pth").write_bytes(b"weights")
        return model_id

    return add


def post(client, path, status=200):
    answer = client.post(f"{MODELS}/{path}")
    assert answer.status_code == status, answer.text
    return answer.json()


def ids(answer):
    return [(model["model_id"], model["state"]) for model in answer.json()]


def test_models_are_listed_by_dataset_and_state(client, publish):
    publish(1)
    publish(2)
    publish(3, "ds-2")
    post(client, "md-1/promote")
    assert ids(client.get(MODELS)) == [("md-3", "candidate"), ("md-2", "candidate"), ("md-1", "promoted")]
    assert ids(client.get(MODELS, params={"dataset_id": "ds-1"})) == [("md-2", "candidate"), ("md-1", "promoted")]
    assert ids(client.get(MODELS, params={"state": "promoted"})) == [("md-1", "promoted")]
    assert ids(client.get(MODELS, params={"dataset_id": "ds-9"})) == []
    for params in ({"state": "best"}, {"dataset_id": "no id!"}):
        assert client.get(MODELS, params=params).status_code == 422


def test_a_model_s_card_holds_what_its_training_found_out(client, services, publish):
    services.catalog.add_dataset(dataset_info(name="pets"))
    members = (EnsembleMember(name="a", timm_name="a", weight=0.5), EnsembleMember(name="b", timm_name="b", weight=0.5))
    publish(1, members=members)
    card = client.get(f"{MODELS}/md-1").json()
    assert (card["dataset_name"], card["dataset_version"], card["job_id"]) == ("pets", 1, "job-1")
    assert card["test"]["accuracy_ci95"] == [0.5, 1.0]
    assert card["split"]["train"] == 2
    assert [member["name"] for member in card["members"]] == ["a", "b"]
    assert (card["state"], card["promoted_at"]) == ("candidate", None)
    assert client.get(card["downloads"]["pth"]).status_code == 200


def test_a_card_is_there_also_where_dataset_and_results_are_gone(client, services):
    scores = results_record().test.model_dump(mode="json")
    services.catalog.publish(results_record(), model_info("md-1"))
    services.catalog.publish(
        results_record("job-2", model_id="md-2"), model_info("md-2", job_id=None, metrics={"test": scores})
    )
    card = client.get(f"{MODELS}/md-2").json()
    assert (card["dataset_name"], card["split"]) == (None, None)
    assert card["test"]["accuracy"] == 0.9


def test_promoting_and_rolling_back_change_who_answers(client, publish, png):
    publish(1)
    publish(2)
    assert post(client, "md-1/promote")["state"] == "promoted"
    post(client, "md-2/promote")

    cards = [client.get(f"{MODELS}/{name}").json()["rollback_to"] for name in ("md-2", "md-1")]
    assert cards == ["md-1", None]

    def answers(address="ds-1"):
        return client.post(f"/api/cv/predict/{address}", files={"file": png}).json()["model"]["model_id"]

    assert answers() == "md-2"
    back = post(client, "md-2/rollback")
    assert (back["model_id"], back["state"], back["promoted_by"]) == ("md-1", "promoted", "local")
    assert answers() == "md-1"
    assert client.get("/health").json()["default_model"] == "md-1"
    assert "'md-2' is not the promoted one" in post(client, "md-2/rollback", 409)["detail"]
    assert "promoted before 'md-1'" in post(client, "ds-1/rollback", 409)["detail"]
    history = client.get(f"{MODELS}/ds-1/history").json()
    assert [(one["kind"], one["model_id"], one["replaced_id"]) for one in history] == [
        ("rolled_back", "md-1", "md-2"),
        ("promoted", "md-2", "md-1"),
        ("promoted", "md-1", None),
    ]
    assert client.get(f"{MODELS}/md-2/history").json() == history


def test_a_model_is_loaded_before_it_takes_a_place(client, services, publish, monkeypatch):
    loaded = []

    async def prepare(folder):
        answering = services.catalog.default_model()
        loaded.append((Path(folder).name, answering.model_id))

    monkeypatch.setattr(services.pool, "prepare", prepare)
    for number in (1, 2):
        publish(number)
    for path in ("md-1/promote", "md-2/promote", "md-2/rollback"):
        post(client, path)
    assert loaded == [("md-1", "md-2"), ("md-2", "md-1"), ("md-1", "md-2")]


def test_a_model_that_cannot_be_loaded_takes_nobody_s_place(client, services, publish, monkeypatch):
    async def refuse(folder):
        raise InputError(f"'{Path(folder).name}' is damaged.")

    publish(1)
    publish(2)
    post(client, "md-1/promote")
    monkeypatch.setattr(services.pool, "prepare", refuse)
    assert "damaged" in client.post(f"{MODELS}/md-2/promote").json()["detail"]
    assert [model.model_id for model in services.registry.models(state="promoted")] == ["md-1"]


def test_no_request_falls_between_two_promotions(client, services, publish, png):
    for number in (1, 2):
        publish(number)
    post(client, "md-1/promote")
    done = threading.Event()

    def promote_on_and_on():
        place = 0
        while not done.is_set():
            services.registry.promote(f"md-{1 + place % 2}")
            place += 1
        return place

    with ThreadPoolExecutor(4) as threads:
        promotions = threads.submit(promote_on_and_on)
        try:
            paths = ["/api/cv/predict/ds-1", "/predict"] * 20
            answers = list(threads.map(lambda path: client.post(path, files={"file": png}), paths))
        finally:
            done.set()
    assert {answer.status_code for answer in answers} == {200}
    assert promotions.result() > 2
    assert len(services.registry.models(state="promoted")) == 1


def test_an_archived_model_answers_by_its_own_id_alone(client, publish, png):
    publish(1)
    publish(2)
    assert post(client, "md-2/archive")["state"] == "archived"
    told = [client.post(f"/api/cv/predict/{name}", files={"file": png}).json()["model"] for name in ("ds-1", "md-2")]
    assert [model["model_id"] for model in told] == ["md-1", "md-2"]
    assert "md-2/restore" in post(client, "md-2/promote", 409)["detail"]
    assert post(client, "md-2/restore")["state"] == "candidate"
    post(client, "md-2/promote")
    assert "is the promoted one" in post(client, "md-2/archive", 409)["detail"]


def test_a_deleted_model_is_gone_with_its_files(client, services, publish, png):
    publish(1)
    publish(2)
    post(client, "md-1/promote")
    assert client.delete(f"{MODELS}/md-1").status_code == 409
    job = services.queue.enqueue("compare_models", {"challenger": "md-2"}, dataset_id="ds-1")
    answer = client.delete(f"{MODELS}/md-2")
    assert (answer.status_code, job.job_id in answer.json()["detail"]) == (409, True)
    services.queue.request_cancel(job.job_id)
    assert client.delete(f"{MODELS}/md-2").status_code == 204
    assert not (services.settings.models_dir / "md-2").exists()
    assert (services.settings.models_dir / "md-1").exists()
    for method, path in (("GET", "md-2"), ("DELETE", "md-2"), ("POST", "md-2/promote"), ("GET", "md-2/history")):
        assert client.request(method, f"{MODELS}/{path}").status_code == 404
    assert client.get("/api/cv/jobs/job-2/results").status_code == 404


def test_states_are_told_to_the_mirror(settings, make_app, publish, client, services, monkeypatch):
    told = []
    object.__setattr__(services, "mirror", told.append)
    publish(1)
    publish(2)
    for path in ("md-1/promote", "md-2/promote", "md-2/rollback", "md-2/archive", "md-2/restore"):
        post(client, path)
    client.delete(f"{MODELS}/md-2")
    client.post(f"{MODELS}/md-1/archive")  # refused: nothing has changed
    assert told == ["ds-1"] * 6


def test_the_audit_log_says_who_did_it(client, services, publish, png, shapes_zip):
    dataset_id = client.post("/api/cv/upload", files={"file": ("pets.zip", shapes_zip)}).json()["dataset_id"]
    image = client.get(f"/api/cv/datasets/{dataset_id}/images").json()["images"][0]["image_id"]
    client.post(f"/api/cv/datasets/{dataset_id}/changes", json={"exclude": [image]})
    job_id = client.post("/api/cv/train/start", json={"dataset_id": dataset_id}).json()["job_id"]
    client.post(f"/api/cv/jobs/{job_id}/cancel")
    publish(1, dataset_id)
    answer = client.post(f"{MODELS}/md-1/promote", headers={"X-Request-ID": "req-7"})
    assert answer.status_code == 200
    client.get(f"{MODELS}/md-1/download")
    services.catalog.publish(results_record(job_id, model_id="md-2"), model_info("md-2", job_id=job_id))
    cards = [client.get(f"{MODELS}/{name}").json() for name in ("md-1", "md-2")]
    assert [card["trained_by"] for card in cards] == [None, "local"]
    client.delete(f"/api/cv/datasets/{dataset_id}")
    page = client.get("/api/audit").json()
    assert [(entry["action"], entry["subject"]) for entry in reversed(page["entries"])] == [
        ("uploaded", dataset_id),
        ("changed_labels", dataset_id),
        ("trained", job_id),
        ("cancelled", job_id),
        ("promoted", "md-1"),
        ("downloaded", "md-1"),
        ("deleted_dataset", dataset_id),
    ]
    assert page["next_before"] is None
    promoted = next(entry for entry in page["entries"] if entry["action"] == "promoted")
    assert (promoted["actor"], promoted["address"], promoted["request_id"]) == ("local", "testclient", "req-7")
    first = client.get("/api/audit", params={"limit": 2}).json()
    second = client.get("/api/audit", params={"limit": 2, "before": first["next_before"]}).json()
    assert [*first["entries"], *second["entries"]] == page["entries"][:4]
    of_model = client.get("/api/audit", params={"subject": "md-1"}).json()["entries"]
    assert [entry["action"] for entry in of_model] == ["downloaded", "promoted"]


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 1001}, {"before": 0}, {"before": 2**63}, {"subject": "?"}])
def test_a_page_that_cannot_be_is_refused(shared_client, params):
    assert shared_client.get("/api/audit", params=params).status_code == 422


def test_a_key_is_told_by_its_fingerprint_and_never_written(settings, make_app):
    from starlette.testclient import TestClient

    key = "a-very-secret-key"
    with TestClient(make_app(settings.model_copy(update={"api_keys": (key,)}))) as client:
        client.headers["X-API-Key"] = key
        services = client.app.state.services
        services.catalog.publish(results_record(), model_info())
        assert client.post(f"{MODELS}/md-1/promote").json()["promoted_by"].startswith("key ")
        body = client.get("/api/audit").text
        assert key not in body
        assert client.get("/api/audit", headers={"X-API-Key": "wrong"}).status_code == 401


def answers_of(labels):
    images = [
        TestPrediction(image_id=f"img-{place}", label=label, predicted=label, confidence=0.95)
        for place, label in enumerate(labels)
    ]
    return TestPredictions(class_names=("circle", "square"), images=tuple(images))


def test_drift_compares_use_with_the_test_images(client, services, publish, png):
    publish(1)
    folder = services.settings.models_dir / "md-1"
    write_answers(folder, answers_of(["circle"] * 30 + ["square"] * 30))
    empty = client.get(f"{MODELS}/md-1/drift").json()
    assert (empty["verdict"], empty["predictions"], empty["test_images"]) == ("too_few", 0, 60)
    client.post("/api/cv/predict/md-1", files={"file": png})
    one = client.get(f"{MODELS}/md-1/drift").json()  # what this process has in memory is there at once
    assert (one["predictions"], one["days"][0]["predictions"]) == (1, 1)
    for _ in range(80):
        services.tally.add("md-1", labels=["circle"], confidence=0.55, unfamiliar=True)
    report = client.get(f"{MODELS}/md-1/drift", params={"days": 7}).json()
    assert (report["verdict"], report["predictions"]) == ("drifted", 81)
    assert report["labels"]["bins"][0] == {"name": "circle", "expected": 0.5, "seen": 1.0, "count": 81}
    assert report["confidence"]["verdict"] == report["unfamiliar"]["verdict"] == "drifted"
    assert "train again" in report["headline"]
    assert report["days"][0]["mean_confidence"] == pytest.approx(0.55, abs=0.01)


def test_a_model_without_answers_has_no_yardstick(client, services, publish):
    publish(1)
    publish(2)
    (services.settings.models_dir / "md-2" / ANSWERS_FILE).write_text("no json")
    for name in ("md-1", "md-2"):
        services.tally.add(name, labels=["circle"], confidence=0.9)
        report = client.get(f"{MODELS}/{name}/drift").json()
        assert (report["labels"]["verdict"], report["test_images"]) == ("no_yardstick", None)
        assert report["labels"]["bins"] == [{"name": "circle", "expected": None, "seen": 1.0, "count": 1}]


@pytest.mark.parametrize(
    ("path", "status"), [("md-none/drift", 404), ("md-1/drift?days=0", 422), ("md-1/drift?days=999", 422)]
)
def test_drift_of_nothing_is_refused(client, publish, path, status):
    publish(1)
    assert client.get(f"{MODELS}/{path}").status_code == status


def test_the_default_model_s_drift_is_a_figure_for_prometheus(client, services, publish):
    def figures():
        lines = client.get("/metrics").text.splitlines()
        return {
            line.rpartition(" ")[0]: line.rpartition(" ")[2]
            for line in lines
            if "drift" in line or "unfamiliar" in line
        }

    assert figures()['sightglass_drift_index{of="labels"}'] == "NaN"
    publish(1)
    write_answers(services.settings.models_dir / "md-1", answers_of(["circle"] * 30 + ["square"] * 30))
    for _ in range(80):
        services.tally.add("md-1", labels=["circle"], confidence=0.95, unfamiliar=False)
    services.tally.write()
    told = figures()
    assert float(told['sightglass_drift_index{of="labels"}']) > 0.25
    assert float(told['sightglass_drift_index{of="confidence"}']) < 0.1
    assert told["sightglass_unfamiliar_ratio"] == "0.0"
