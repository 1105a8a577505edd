"""Which model a name stands for at each moment, and what happens before another takes its place."""

import threading

import pytest
from service_fakes import model_info, results_record

from backend.api import metrics
from backend.contracts.serving import BatchNote, ServingState
from backend.errors import InputError, UnavailableError


def publish(services, number, dataset_id):
    outcome = results_record(f"job-{number}", dataset_id=dataset_id, model_id=f"md-{number}")
    services.catalog.publish(outcome, model_info(f"md-{number}", dataset_id=dataset_id, job_id=f"job-{number}"))


@pytest.fixture
def models(services, dataset_id):
    for number in (1, 2):
        publish(services, number, dataset_id)
    return dataset_id


def answers(client, name, png):
    return client.post(f"/api/cv/predict/{name}", files={"file": ("a.png", png)}).json()["model"]["model_id"]


def test_a_name_stands_for_another_model_from_the_moment_it_does(client, services, models, png):
    assert answers(client, models, png) == "md-2"
    client.post("/api/cv/models/md-1/promote").raise_for_status()
    assert answers(client, models, png) == "md-1"
    publish(services, 3, models)
    assert answers(client, models, png) == "md-1"
    client.post("/api/cv/models/md-3/promote").raise_for_status()
    assert answers(client, models, png) == "md-3"
    client.post("/api/cv/models/md-3/rollback").raise_for_status()
    assert answers(client, models, png) == "md-1"
    client.delete("/api/cv/models/md-3").raise_for_status()
    assert client.post("/api/cv/predict/md-3", files={"file": ("a.png", png)}).status_code == 404


def test_what_a_name_stands_for_is_read_once_where_the_database_says_when_it_changes(client, services, models, png):
    read = []
    real = services.catalog.resolve_model
    services.catalog.resolve_model = lambda name: (read.append(name), real(name))[1]
    for _ in range(5):
        answers(client, models, png)
    assert len(read) == (1 if services.database.is_sqlite else 5)
    publish(services, 3, models)
    assert answers(client, models, png) == "md-3"


def test_a_model_is_loaded_before_it_takes_another_s_place(client, services, models, monkeypatch):
    prepared = []

    async def prepare(folder):
        prepared.append((folder, services.catalog.default_model().model_id))

    monkeypatch.setattr(services.pool, "prepare", prepare)
    client.post("/api/cv/models/md-2/promote").raise_for_status()
    client.post("/api/cv/models/md-1/promote").raise_for_status()
    client.post("/api/cv/models/md-1/rollback").raise_for_status()
    folders = services.settings.models_dir.resolve()
    assert [name for name, _ in prepared] == [str(folders / f"md-{number}") for number in (2, 1, 2)]
    assert [default for _, default in prepared] == ["md-2", "md-2", "md-1"]


@pytest.mark.parametrize(("error", "status"), [(InputError("damaged"), 422), (UnavailableError("not now"), 200)])
def test_a_model_that_cannot_be_loaded_is_not_promoted(client, services, models, monkeypatch, error, status):
    async def prepare(_):
        raise error

    monkeypatch.setattr(services.pool, "prepare", prepare)
    assert client.post("/api/cv/models/md-1/promote").status_code == status
    assert client.get("/api/cv/models/md-1").json()["state"] == ("promoted" if status == 200 else "candidate")


def test_promotions_under_fire_drop_nothing(client, services, models, png):
    stop, statuses, seen = threading.Event(), [], set()

    def fire():
        while not stop.is_set():
            answer = client.post(f"/api/cv/predict/{models}", files={"file": ("a.png", png)})
            statuses.append(answer.status_code)
            seen.add(answer.json().get("model", {}).get("model_id"))

    shooters = [threading.Thread(target=fire) for _ in range(3)]
    for shooter in shooters:
        shooter.start()
    for number in (1, 2, 1, 2, 1):
        client.post(f"/api/cv/models/md-{number}/promote").raise_for_status()
        assert answers(client, models, png) == f"md-{number}"
    stop.set()
    for shooter in shooters:
        shooter.join()
    assert set(statuses) == {200}
    assert seen <= {"md-1", "md-2"}


def test_the_card_says_what_a_loaded_model_runs_on(client, services, models, monkeypatch):
    assert client.get("/api/cv/models/md-1").json()["serving"] is None
    network = {
        "network": "resnet18",
        "backend": "openvino",
        "kind": "openvino-1-fp32",
        "chosen_by": "default",
        "pictures": 0,
        "measured": [],
    }
    state = ServingState(1, 0, {"md-1": {"backend": "openvino", "networks": [network]}})
    monkeypatch.setattr(services.pool, "state", state)
    assert client.get("/api/cv/models/md-1").json()["serving"]["backend"] == "openvino"
    assert client.get("/api/cv/models/md-2").json()["serving"] is None


def value(name):
    return metrics.REGISTRY.get_sample_value(name) or 0.0


def test_passes_and_loads_are_counted_also_over_a_restart_of_the_process(client, services):
    names = ("sightglass_prediction_batch_size_count", "sightglass_prediction_seconds_count")
    counters = ("sightglass_model_loads_total", "sightglass_model_evictions_total")
    before = {name: value(name) for name in (*names, *counters)}
    services.serving.note_batch(BatchNote(3, 0.5, (0.1, 0.2, 0.3)))
    for state in (
        ServingState(2, 0, {"a": {}, "b": {}}),
        ServingState(3, 1, {"b": {}, "c": {}}),
        ServingState(1, 0, {}),
    ):
        services.serving.note_state(state)
    after = {name: value(name) - before[name] for name in before}
    assert after == dict(zip(before, (1, 3, 4, 1), strict=True))
    assert value("sightglass_models_loaded") == 0
