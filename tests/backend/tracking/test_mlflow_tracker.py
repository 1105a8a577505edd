from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from backend.config import Settings
from backend.tracking import NullTracker, create_tracker, prepare_store
from backend.tracking import mlflow_tracker as module
from backend.tracking.mlflow_tracker import MlflowTracker
from tests.waiting import PATIENCE_S, slowness, wait_until


@pytest.fixture(scope="module")
def recorded(store, tmp_path_factory, row, history, results):
    """One whole run, written by the tracker and read back through MLflow's own client."""
    from mlflow import MlflowClient

    bundle = tmp_path_factory.mktemp("bundles") / "model-1"
    bundle.mkdir()
    (bundle / "model.json").write_text("{}")
    tracker = create_tracker(Settings(data_dir=store))
    handed_over, reached = threading.Event(), []

    def connect(uri, real=module._connect):
        assert handed_over.wait(PATIENCE_S)
        reached.append(uri)
        return real(uri)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_connect", connect)
        info, reached_early = write_run(
            tracker, row, history, results, bundle, handed_over=handed_over, reached=reached
        )
    client = MlflowClient(tracking_uri=f"sqlite:///{store.resolve() / 'mlflow.db'}")
    return SimpleNamespace(info=info, client=client, reached_early=reached_early, reached=reached, store=store)


def write_run(tracker, row, history, results, bundle, *, handed_over, reached):
    tracker.start(
        run_name="job-1", params={"seed": 42, "overrides": {"finetune.patience": 3}}, tags={"dataset": "pets"}
    )
    tracker.candidate(row(), history, {"family": "resnet"})
    tracker.candidate(row("vit_base", status="skipped", reason="no time left", val_accuracy=None), (), {})
    reached_early = list(reached)
    handed_over.set()
    return tracker.finish(results, [bundle]), reached_early


def children(recorded):
    experiment = recorded.client.get_experiment_by_name("sightglass")
    query = f"tags.`mlflow.parentRunId` = '{recorded.info['run_id']}'"
    return {run.info.run_name: run for run in recorded.client.search_runs([experiment.experiment_id], query)}


def test_a_run_ends_well_and_says_where_it_lies(recorded) -> None:
    run = recorded.client.get_run(recorded.info["run_id"])
    assert recorded.info["status"] == "ok"
    assert recorded.info["uri"].endswith("mlflow.db")
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "42", "overrides.finetune.patience": "3"}
    assert run.data.tags["dataset"] == "pets"
    assert run.data.metrics["accuracy"] == 0.75
    assert run.data.metrics["accuracy_ci95_low"] == pytest.approx(0.3)
    assert (run.data.metrics["copies_images"], run.data.metrics["copies_by_chance_accuracy_without"]) == (6, 0.75)


def test_each_candidate_is_a_nested_run_with_a_metric_for_every_epoch(recorded) -> None:
    run = children(recorded)["resnet18 (finetune)"]
    curve = recorded.client.get_metric_history(run.info.run_id, "val_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 1.5), (2, 0.75), (3, 0.5)]
    assert run.data.params["family"] == "resnet"
    assert run.data.params["timm_name"] == "resnet18.tv"


def test_test_scores_reach_the_nested_run_at_the_end(recorded) -> None:
    metrics = children(recorded)["resnet18 (finetune)"].data.metrics
    assert (metrics["accuracy"], metrics["rank"]) == (0.75, 1)


def test_a_skipped_candidate_keeps_its_reason(recorded) -> None:
    run = children(recorded)["vit_base (finetune)"]
    assert run.info.status == "KILLED"
    assert run.data.tags["sightglass.reason"] == "no time left"


def test_artifacts_lie_inside_the_data_folder(recorded) -> None:
    base = recorded.store.resolve() / "mlflow-artifacts" / recorded.info["run_id"] / "artifacts"
    assert (base / "bundle" / "model-1" / "model.json").read_text() == "{}"
    assert (base / "results.json").is_file()
    with Image.open(base / "plots" / "confusion_matrix.png") as plot:
        assert plot.width > 200
    assert (base / "plots" / "training_curves.png").is_file()


def test_handing_a_run_over_does_not_wait_for_the_store(recorded) -> None:
    assert recorded.reached_early == []  # the store was closed until all was handed over
    assert len(recorded.reached) == 1


def test_an_aborted_run_is_closed_with_its_reason(recorded) -> None:
    tracker = create_tracker(Settings(data_dir=recorded.store))
    tracker.start(run_name="job-2", params={}, tags={})
    wait_until(lambda: tracker._record.run_id, "the run is opened")
    tracker.abort("The job was cancelled.")
    experiment = recorded.client.get_experiment_by_name("sightglass")
    (run,) = recorded.client.search_runs([experiment.experiment_id], "attributes.run_name = 'job-2'")
    assert run.info.status == "KILLED"
    assert run.data.tags["sightglass.reason"] == "The job was cancelled."


def test_after_the_data_folder_moved_files_do_not_go_to_the_old_place(recorded, tmp_path, results) -> None:
    tracker = MlflowTracker(recorded.info["uri"], artifact_root=tmp_path / "moved")
    tracker.start(run_name="job-3", params={}, tags={})
    info = tracker.finish(results, [])
    assert info["status"] == "ok"
    assert (tmp_path / "moved" / info["run_id"] / "artifacts" / "results.json").is_file()


def test_a_deleted_experiment_is_taken_up_again(recorded, results) -> None:
    experiment = recorded.client.get_experiment_by_name("sightglass")
    recorded.client.delete_experiment(experiment.experiment_id)
    tracker = create_tracker(Settings(data_dir=recorded.store))
    tracker.start(run_name="job-4", params={}, tags={})
    assert tracker.finish(results, [])["status"] == "ok"


def test_a_server_that_is_down_is_told_and_not_raised(tmp_path, results, row) -> None:
    tracker = MlflowTracker("http://127.0.0.1:9", artifact_root=tmp_path)
    tracker.start(run_name="job-5", params={}, tags={})
    tracker.candidate(row(), (), {})
    info = tracker.finish(results, [])
    assert info["status"] == "failed"
    assert "127.0.0.1:9" in info["detail"]
    assert info["run_id"] is None


def test_a_server_that_never_answers_costs_a_bounded_wait(tmp_path, results) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        tracker = MlflowTracker(uri, artifact_root=tmp_path, finish_timeout_s=0.5)
        tracker.start(run_name="job-6", params={}, tags={})
        begun = time.perf_counter()
        info = tracker.finish(results, [])
        waited = time.perf_counter() - begun
    assert waited < 2.0 * slowness()
    assert info["status"] == "failed"
    assert "0.5 s" in info["detail"]


@pytest.mark.parametrize("uri", ["nonsense://x", "sqlite:////proc/no/such.db"])
def test_a_store_that_cannot_be_is_told_and_not_raised(uri, tmp_path, results) -> None:
    tracker = MlflowTracker(uri, artifact_root=tmp_path)
    tracker.start(run_name="job-7", params={}, tags={})
    info = tracker.finish(results, [])
    assert info["status"] == "failed"
    assert uri in info["detail"]


def test_a_password_in_the_address_never_shows(tmp_path, results) -> None:
    tracker = MlflowTracker("http://ann:s3cret@127.0.0.1:9", artifact_root=tmp_path)
    tracker.start(run_name="job-8", params={}, tags={})
    info = tracker.finish(results, [])
    assert info["status"] == "failed"
    assert "s3cret" not in str(info)


def test_a_missing_artifact_fails_the_record_and_not_the_run(recorded, results, tmp_path) -> None:
    tracker = create_tracker(Settings(data_dir=recorded.store))
    tracker.start(run_name="job-9", params={}, tags={})
    info = tracker.finish(results, [tmp_path / "gone.pth"])
    assert info["status"] == "failed"
    assert "gone.pth" in info["detail"]


def test_off_writes_nothing(tmp_path, results) -> None:
    tracker = create_tracker(Settings(data_dir=tmp_path, mlflow_tracking_uri="off"))
    tracker.start(run_name="job", params={}, tags={})
    assert isinstance(tracker, NullTracker)
    assert tracker.finish(results, [])["status"] == "off"
    assert list(tmp_path.iterdir()) == []


def test_making_a_tracker_imports_no_mlflow() -> None:
    code = (
        "import sys; from backend.tracking import create_tracker; from backend.config import Settings; "
        "create_tracker(Settings()); heavy = {'mlflow', 'torch', 'matplotlib', 'sklearn'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_a_store_that_was_prepared_takes_the_next_run_as_ever(tmp_path, results):
    settings = Settings(data_dir=tmp_path)
    prepare_store(settings)
    tracker = create_tracker(settings)
    tracker.start(run_name="job-1", params={}, tags={})
    assert tracker.finish(results, [])["status"] == "ok"


def test_finishing_waits_no_longer_than_it_is_given(results, monkeypatch, tmp_path):
    never = threading.Event()
    monkeypatch.setattr(module, "_connect", lambda _uri: never.wait(PATIENCE_S))
    tracker = MlflowTracker("sqlite:///never.db", artifact_root=tmp_path)
    tracker.start(run_name="job-1", params={}, tags={})
    started = time.monotonic()
    info = tracker.finish(results, [], within_s=0.2)
    assert time.monotonic() - started < PATIENCE_S / 2
    assert info["status"] == "failed"
    never.set()


@pytest.fixture
def client(recorded):
    return recorded.client


def runs_of(client, name):
    experiment = client.get_experiment_by_name("sightglass")
    return client.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'")


def test_an_attempt_takes_up_the_run_of_the_one_that_was_killed(store, row, history, results, client):
    killed = MlflowTracker(f"sqlite:///{store.resolve() / 'mlflow.db'}", artifact_root=store / "mlflow-artifacts")
    killed.start(run_name="job-killed", params={"seed": 1}, tags={})
    killed.candidate(row(), history, {})
    killed._steps.close(timeout_s=PATIENCE_S)
    (left,) = runs_of(client, "job-killed")
    assert left.info.status == "RUNNING"
    half = client.create_run(
        left.info.experiment_id, run_name="vit_base (probe)", tags={"mlflow.parentRunId": left.info.run_id}
    )
    tracker = create_tracker(Settings(data_dir=store))
    tracker.start(run_name="job-killed", params={"seed": 1}, tags={}, resume=True)
    tracker.candidate(row(), history, {})
    tracker.candidate(row("vit_base", strategy="probe"), (), {})
    info = tracker.finish(results, [])
    assert (info["status"], info["run_id"]) == ("ok", left.info.run_id)
    (run,) = runs_of(client, "job-killed")
    assert run.info.status == "FINISHED"
    query = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    nested = client.search_runs([run.info.experiment_id], query)
    assert sorted(one.info.run_name for one in nested) == ["resnet18 (finetune)", "vit_base (probe)"]
    assert {one.info.status for one in nested} == {"FINISHED"}
    assert half.info.run_id not in {one.info.run_id for one in nested}
    (again,) = [one for one in nested if one.info.run_name == "resnet18 (finetune)"]
    assert len(client.get_metric_history(again.info.run_id, "val_loss")) == len(history)


def test_an_attempt_that_finds_no_run_begins_one(store, results, client):
    tracker = create_tracker(Settings(data_dir=store))
    tracker.start(run_name="job-new", params={}, tags={}, resume=True)
    assert tracker.finish(results, [])["status"] == "ok"
    assert [run.info.status for run in runs_of(client, "job-new")] == ["FINISHED"]


def test_runs_of_jobs_that_are_over_do_not_stay_running(store, client):
    for name in ("job-over", "job-alive"):
        tracker = create_tracker(Settings(data_dir=store))
        tracker.start(run_name=name, params={}, tags={})
        tracker._steps.close(timeout_s=PATIENCE_S)
    prepare_store(Settings(data_dir=store), over=lambda job_id: job_id == "job-over")
    wait_until(lambda: runs_of(client, "job-over")[0].info.status != "RUNNING", "the run is ended")
    (over,) = runs_of(client, "job-over")
    assert over.info.status == "KILLED"
    assert "not started again" in over.data.tags["sightglass.reason"]
    assert runs_of(client, "job-alive")[0].info.status == "RUNNING"
