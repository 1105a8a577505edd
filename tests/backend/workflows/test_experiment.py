"""What a run's folder holds, and that it can be repeated."""

import json

import pytest
import service_fakes

from backend.contracts import Recipe, Results
from backend.engine.model_folder import CHECKPOINTS
from backend.workflows.configure import read_config
from backend.workflows.experiment import FINAL_FILE, RESULTS_FILE, close_experiment, open_experiment

RECIPE = Recipe(dataset_id="ds-1", preset="defects", seed=7, overrides={"loss.gamma": 3})


@pytest.fixture
def model_folder(tmp_path):
    folder = tmp_path / "run" / "models" / "model-1"
    folder.mkdir(parents=True)
    (folder / "model.pth").write_bytes(b"weights")
    return folder


def test_the_configuration_is_there_before_the_training(tmp_path):
    open_experiment(tmp_path / "run", RECIPE)
    assert Recipe.model_validate({"dataset_id": "ds-1", **read_config(tmp_path / "run")}) == RECIPE


def test_results_model_and_the_winner_s_checkpoint_lie_where_one_looks_for_them(tmp_path, model_folder):
    out = tmp_path / "run"
    results = service_fakes.results_record()
    checkpoints = open_experiment(out, RECIPE)
    for name in (results.best_model.name, "timm-other"):
        (checkpoints / name).mkdir(parents=True)
        (checkpoints / name / "best_model_epoch3_f1_0.7500.pt").write_bytes(name.encode())
    (model_folder / "checkpoints").mkdir()
    (model_folder / "checkpoints" / "best_model_epoch3_f1_0.7500.pt").write_bytes(b"whole")
    close_experiment(out, results, model_folder)
    assert Results.model_validate_json((out / RESULTS_FILE).read_bytes()) == results
    assert (out / FINAL_FILE).read_bytes() == b"weights"
    assert (out / CHECKPOINTS / "best_model_epoch3_f1_0.7500.pt").read_bytes() == b"whole"
    assert sorted(path.name for path in (out / CHECKPOINTS).iterdir()) == [
        "best_model_epoch3_f1_0.7500.pt",
        "timm-other",
    ]


def test_what_came_from_elsewhere_has_its_checkpoint_in_the_run_s_folder_too(tmp_path, model_folder):
    (model_folder / "checkpoints").mkdir()
    (model_folder / "checkpoints" / "best_model_epoch2_accuracy_0.9000.pt").write_bytes(b"of a node, or a service")
    open_experiment(tmp_path / "run", RECIPE)
    close_experiment(tmp_path / "run", service_fakes.results_record(), model_folder)
    kept = tmp_path / "run" / CHECKPOINTS / "best_model_epoch2_accuracy_0.9000.pt"
    assert kept.read_bytes() == b"of a node, or a service"


def test_a_second_run_in_the_same_folder_leaves_no_checkpoint_of_the_first_and_nothing_else_is_touched(tmp_path):
    (tmp_path / CHECKPOINTS / "lite0").mkdir(parents=True)
    stale = [
        tmp_path / CHECKPOINTS / "best_model_epoch1_f1_0.1.pt",
        tmp_path / CHECKPOINTS / "lite0" / "best_model_epoch2_f1_0.2.pt",
    ]
    mine = tmp_path / CHECKPOINTS / "mine.pt"
    for path in (*stale, mine):
        path.write_bytes(b"x")
    open_experiment(tmp_path, RECIPE)
    assert [path for path in stale if path.exists()] == []
    assert mine.exists()


def test_a_file_system_without_links_gets_a_copy(tmp_path, model_folder, monkeypatch):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("backend.workflows.experiment.os.link", refuse)
    close_experiment(tmp_path / "run", service_fakes.results_record(), model_folder)
    assert (tmp_path / "run" / FINAL_FILE).read_bytes() == b"weights"


def test_closing_twice_leaves_the_newer_model(tmp_path, model_folder):
    for content in (b"first", b"second"):
        (model_folder / "model.pth").unlink()
        (model_folder / "model.pth").write_bytes(content)
        close_experiment(tmp_path / "run", service_fakes.results_record(), model_folder)
        assert (tmp_path / "run" / FINAL_FILE).read_bytes() == content
    assert json.loads((tmp_path / "run" / RESULTS_FILE).read_text())["experiment"] is None
