"""MLflow's registry says what ours says, in a real SQLite store."""

import pytest

from backend.config import Settings
from backend.contracts import Preprocessing, RegisteredModel
from backend.tracking import create_tracker, mirror_registry

DATASET, NAME = "ds-mirror", "sightglass-ds-mirror"
PREPROCESSING = Preprocessing(height=8, width=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def model(number, state="candidate", **changes):
    fields = {
        "model_id": f"md-{number}",
        "dataset_id": DATASET,
        "job_id": f"job-{number}",
        "name": "resnet18",
        "timm_name": "resnet18.tv",
        "strategy": "probe",
        "weights": "imagenet",
        "class_names": ("cat", "dog"),
        "preprocessing": PREPROCESSING,
        "accuracy": 0.9,
        "macro_f1": 0.89,
        "metrics": {},
        "dataset_digest": "0" * 64,
        "parameters": 11,
        "size_mb": 1.0,
        "versions": {},
        "created_at": "2026-01-01T00:00:00Z",
    }
    return RegisteredModel(**{**fields, **changes}, state=state, promoted=state == "promoted")


@pytest.fixture
def settings(store):
    return Settings(data_dir=store)


@pytest.fixture
def client(settings):
    """MLflow's own client on a store without our registered model."""
    mirror_registry(settings, DATASET, [])
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=settings.resolved_mlflow_uri, registry_uri=settings.resolved_mlflow_uri)


def versions(client):
    found = client.search_model_versions(f"name = '{NAME}'")
    return {one.tags["sightglass.model_id"]: one for one in found}


def champion(client):
    return client.get_model_version_by_alias(NAME, "champion").tags["sightglass.model_id"]


def test_a_dataset_is_a_registered_model_and_a_model_a_version(client, settings):
    mirror_registry(settings, DATASET, [model(2), model(1, "promoted", promoted_by="ada")])
    found = versions(client)
    assert {name: int(one.version) for name, one in found.items()} == {"md-1": 1, "md-2": 2}
    assert client.get_registered_model(NAME).tags == {"sightglass.dataset_id": DATASET}
    assert champion(client) == "md-1"
    tags = found["md-1"].tags
    assert (tags["sightglass.state"], tags["sightglass.promoted_by"]) == ("promoted", "ada")
    assert (tags["sightglass.dataset_version"], tags["sightglass.accuracy"]) == ("1", "0.900000")
    assert found["md-2"].source == (settings.models_dir / "md-2").resolve().as_uri()


def test_the_champion_moves_and_states_follow(client, settings):
    mirror_registry(settings, DATASET, [model(2, "promoted"), model(1)])
    assert champion(client) == "md-2"
    mirror_registry(settings, DATASET, [model(2, "archived"), model(1, "promoted")])
    assert champion(client) == "md-1"
    assert versions(client)["md-2"].tags["sightglass.state"] == "archived"
    mirror_registry(settings, DATASET, [model(2, "archived"), model(1)])
    assert client.get_registered_model(NAME).aliases == {}


def test_telling_it_twice_changes_nothing(client, settings):
    told = [model(2, "promoted"), model(1)]
    mirror_registry(settings, DATASET, told)
    before = {name: (one.version, one.last_updated_timestamp) for name, one in versions(client).items()}
    mirror_registry(settings, DATASET, told)
    assert {name: (one.version, one.last_updated_timestamp) for name, one in versions(client).items()} == before


def test_models_that_are_gone_lose_their_versions_and_doubles_go(client, settings):
    mirror_registry(settings, DATASET, [model(2), model(1)])
    client.create_model_version(NAME, "file:///nowhere", tags={"sightglass.model_id": "md-2"})
    client.create_model_version(NAME, "file:///own")  # a person's own is left alone
    mirror_registry(settings, DATASET, [model(2)])
    found = client.search_model_versions(f"name = '{NAME}'")
    assert sorted((one.tags.get("sightglass.model_id", ""), int(one.version)) for one in found) == [
        ("", 4),
        ("md-2", 2),
    ]
    mirror_registry(settings, DATASET, [])
    assert client.search_registered_models(f"name = '{NAME}'") == []


def test_a_version_knows_the_run_that_made_it(client, settings, results, tmp_path):
    bundle = tmp_path / "md-7"
    bundle.mkdir()
    (bundle / "model.json").write_text("{}")
    tracker = create_tracker(settings)
    tracker.start(run_name="job-7", params={}, tags={})
    run = tracker.finish(results.model_copy(update={"model_id": "md-7", "job_id": "job-7"}), [bundle])
    mirror_registry(settings, DATASET, [model(7)])
    version = versions(client)["md-7"]
    assert version.run_id == run["run_id"]
    assert version.source.endswith(f"{run['run_id']}/artifacts/bundle/md-7")
    assert [file.path for file in client.list_artifacts(version.run_id, "bundle/md-7")] == ["bundle/md-7/model.json"]


def test_with_tracking_off_nothing_happens(tmp_path):
    mirror_registry(Settings(data_dir=tmp_path, mlflow_tracking_uri="off"), DATASET, [model(1)])
    assert list(tmp_path.iterdir()) == []
