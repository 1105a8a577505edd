import dataclasses
import threading
import time

import pytest

from backend import __version__
from backend.contracts import Recipe
from backend.errors import UnavailableError
from backend.search.presets import depth_of
from tests.waiting import PATIENCE_S, slowness, wait_until


@pytest.mark.parametrize("path", ["/health", "/api/health"])
def test_health_tells_version_machine_and_jobs(client, settings, path):
    answer = client.get(path).json()
    assert answer == {
        "status": "ok",
        "version": __version__,
        "device": "cpu",
        "torch_threads": settings.torch_threads,
        "jobs": {"queued": 0, "running": 0},
        "default_model": None,
    }


def test_health_names_the_default_model_and_counts_jobs(client, services, trained):
    services.queue.enqueue("train_images", {})
    answer = client.get("/health").json()
    assert answer["default_model"] == "md-1"
    assert answer["jobs"] == {"queued": 1, "running": 0}


def test_health_answers_fast(client):
    client.get("/health")
    times = []
    for _ in range(5):
        began = time.perf_counter()
        client.get("/health")
        times.append(time.perf_counter() - began)
    assert min(times) < 0.05 * slowness()


def test_health_tells_the_last_known_when_the_database_is_slow_and_the_new_soon_after(client, services, monkeypatch):
    client.get("/health")
    free = threading.Event()
    counts = services.queue.counts

    def slow():
        free.wait(PATIENCE_S)
        return counts()

    services.queue.enqueue("train_images", {})
    monkeypatch.setattr(services.queue, "counts", slow)
    began = time.perf_counter()
    answers = [client.get("/health").json()["jobs"]["queued"] for _ in range(3)]
    assert time.perf_counter() - began < PATIENCE_S / 2
    assert answers == [0, 0, 0]
    free.set()
    wait_until(lambda: client.get("/health").json()["jobs"]["queued"] == 1, "the new number is told")


def test_health_passes_on_that_the_database_does_not_answer(client, services, monkeypatch):
    def fail():
        raise UnavailableError("The database does not answer now.")

    monkeypatch.setattr(services.queue, "counts", fail)
    assert client.get("/health").status_code == 503


def test_ready_needs_a_worker(client, services):
    answer = client.get("/ready")
    assert answer.status_code == 503
    assert "No worker" in answer.json()["detail"]
    services.presence.sign("w1")
    assert client.get("/ready").json()["status"] == "ready"


def test_ready_needs_a_folder_that_can_be_written_to(client, services, settings, monkeypatch):
    from backend.api.routes import health

    def refuse(folder):
        raise UnavailableError(f"The data folder cannot be written to: {folder.name}.")

    services.presence.sign("w1")
    monkeypatch.setattr(health, "check_writable", refuse)
    answer = client.get("/ready")
    assert answer.status_code == 503
    assert "written" in answer.json()["detail"]


def test_ready_names_everything_that_is_missing_and_each_once(client, services, monkeypatch):
    def fail(*_, **__):
        raise UnavailableError("The database does not answer now.")

    def refuse():
        raise UnavailableError("The object storage does not answer.")

    monkeypatch.setattr(services.database, "check", fail)
    monkeypatch.setattr(services.presence, "silence_s", fail)
    monkeypatch.setattr(services.folders, "check", refuse)
    answer = client.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "The database does not answer now. The object storage does not answer."


def test_candidates_are_the_registry(client):
    answer = client.get("/api/cv/candidates").json()
    by_name = {row["name"]: row for row in answer}
    assert {"mobilenetv3_large", "resnet18", "efficientnet_b0", "vit_base"} <= set(by_name)
    assert by_name["resnet18"]["timm_name"]
    assert by_name["efficientnet_lite0"]["weights_source"] == "bundled"


def test_options_hold_what_a_form_needs(client, settings):
    answer = client.get("/api/cv/options").json()
    assert "horizontal_flip" in [row["name"] for row in answer["augmentations"]]
    schema_presets = answer["recipe_schema"]["properties"]["preset"]["enum"]
    assert [row["name"] for row in answer["presets"]] == schema_presets
    assert answer["limits"]["max_upload_mb"] == settings.max_upload_mb


def test_a_preset_says_what_the_search_makes_of_it(client):
    for preset in client.get("/api/cv/options").json()["presets"]:
        depth = depth_of(Recipe(dataset_id="ds-1", preset=preset["name"]))
        assert {field: preset[field] for field in dataclasses.asdict(depth)} == dataclasses.asdict(depth)
        assert preset["description"]


def test_a_preset_says_what_it_sets_and_which_networks_of_its_own_it_trains(client):
    presets = {row["name"]: row for row in client.get("/api/cv/options").json()["presets"]}
    defects = presets.pop("defects")
    assert defects["models"] == ["efficientnet_lite0_cbam"]
    made = Recipe(dataset_id="ds-1", preset="defects")
    assert defects["recipe"]["overrides"] == made.overrides
    assert tuple(defects["recipe"]["augmentations"]) == made.augmentations
    assert all((row["models"], row["recipe"]) == (None, {}) for row in presets.values())


def test_options_list_the_expert_settings_that_a_recipe_takes(client, dataset_id):
    keys = client.get("/api/cv/options").json()["override_keys"]
    assert {"name": "probe.folds", "default": 5} in [{k: row[k] for k in ("name", "default")} for row in keys]
    assert all(row["description"] for row in keys)
    overrides = {row["name"]: row["default"] for row in keys if row["default"] is not None}
    answer = client.post("/api/cv/train/start", json={"dataset_id": dataset_id, "overrides": overrides})
    assert answer.status_code == 202, answer.text


def test_the_root_leads_to_the_documentation(client):
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def test_every_answer_has_a_request_id_and_a_harmless_one_is_taken_over(client):
    assert len(client.get("/health").headers["x-request-id"]) == 16
    assert client.get("/health", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert client.get("/health", headers={"X-Request-ID": "a b"}).headers["x-request-id"] != "a b"
