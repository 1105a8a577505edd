"""Turns that are sent away and come back: a pool in this process stands for the nodes, and everything is pickled.

`tests/acceptance/test_ray_cluster.py` does the same on a real cluster.
"""

import pickle
import threading

import numpy as np
import pytest

from backend.contracts import PoolAnswer, Progress, Recipe, RunControl
from backend.data import open_dataset
from backend.engine.bundle import load_bundle
from backend.engine.feature_store import FeatureSource
from backend.errors import DatasetError, JobCancelled, UnavailableError
from backend.search import on_node as on_node_module
from backend.search.compare import Run, compare
from backend.search.distributed import Distributed, _Together
from backend.search.on_node import KnownRows, TurnOrder
from tests.backend.search.test_label_run import several_zip

LITE, NET = "efficientnet_lite0", "mobilenetv3_large"


class PickledPool:
    """Two seats; one turn computes at a time, for torch's random state is one for all threads of a process."""

    width = 2

    def __init__(self):
        self._lock = threading.Lock()
        self._parts = {}
        self.tasks = []

    def share(self, name, parts):
        if name not in self._parts:
            self._parts[name] = [pickle.dumps(part) for part in parts()]

    def run(self, task, *, control):
        payload = pickle.loads(pickle.dumps(task.payload))
        self.tasks.append(payload)
        shared = {name: [pickle.loads(part) for part in self._parts[name]] for name in task.shared}
        with self._lock:
            value = task.work(payload, shared=shared, control=control)
        return PoolAnswer(value=pickle.loads(pickle.dumps(value)), node="n0de", host="127.0.0.1", attempts=1)

    def stop(self):
        pass


@pytest.fixture
def dataset(make_zip, settings):
    return open_dataset(make_zip({"circle": 15, "square": 15}), into=settings.datasets_dir, settings=settings)


@pytest.fixture
def several(tmp_path, settings):
    """Pictures of 96 x 48 with a circle, a cross, both or neither."""
    return open_dataset(several_zip(tmp_path), into=settings.datasets_dir, settings=settings)


@pytest.fixture
def pool():
    return PickledPool()


@pytest.fixture
def away(settings, tmp_path):
    """Settings of the driver; the node's scratch is elsewhere, so that nothing is found by chance."""
    return settings.model_copy(update={"executor": "ray", "ray_scratch_dir": tmp_path / "node"})


def run_of(settings, folder, pool=None, **more):
    chosen = settings.model_copy(update={"data_dir": folder})
    return Run(settings=chosen, control=RunControl(pool=pool, **more), job_id="job-test", model_id="model-test")


def recipe_of(dataset, **options):
    return Recipe(dataset_id=dataset.info.dataset_id, **{"models": (LITE, NET), "strategy": "probe", **options})


def measured(results):
    """The results without clocks and machines."""
    noise = {"train_seconds", "predict_ms_per_image"}
    return {
        "rows": [row.model_dump(exclude=noise) for row in results.leaderboard],
        "test": results.test,
        "per_class": results.per_class,
        "history": results.history,
        "curve": results.learning_curve,
        "calibration": results.calibration,
        "suspects": results.suspect_labels,
    }


def test_probes_that_are_sent_away_give_what_they_give_here(dataset, away, tmp_path, pool, monkeypatch):
    here = compare(dataset, recipe_of(dataset), run=run_of(away, tmp_path / "here")).results
    sent = compare(dataset, recipe_of(dataset), run=run_of(away, tmp_path / "driver", pool)).results
    assert measured(sent) == measured(here)
    assert {order.kind for order in pool.tasks} == {"probe"}
    assert set(sent.environment["nodes"]) == {LITE, NET}
    assert sent.environment["nodes"][LITE].startswith("n0de (127.0.0.1")
    assert "nodes" not in here.environment
    assert not (away.data_dir / "cache").exists()
    # the driver has kept the features: the same job again asks nobody and computes nothing
    monkeypatch.setattr(FeatureSource, "_compute", lambda *_, **__: pytest.fail("features were computed again"))
    again = compare(dataset, recipe_of(dataset), run=run_of(away, tmp_path / "driver", pool)).results
    assert measured(again) == measured(here)
    assert len(pool.tasks) == 2
    found = [(one.features.images, one.features.at_hand, one.features.networks) for one in (here, sent, again)]
    images = 2 * len(dataset.items)
    assert found == [(images, 0, 2), (images, 0, 2), (images, images, 2)]


@pytest.mark.parametrize("options", [{"strategy": "finetune", "num_epochs": 1, "models": (NET,)}])
def test_a_fine_tune_comes_back_as_a_network_that_can_be_saved(dataset, away, tmp_path, pool, options):
    recipe = recipe_of(dataset, **options)
    here = compare(dataset, recipe, run=run_of(away, tmp_path / "here"))
    sent = compare(dataset, recipe, run=run_of(away, tmp_path / "driver", pool))
    assert measured(sent.results) == measured(here.results)
    assert (sent.folder / "model.pth").is_file()
    assert [order.kind for order in pool.tasks] == ["finetune"]


def test_a_refinement_gets_its_probe_s_features_and_gives_the_same_verdict(dataset, away, tmp_path, pool):
    options = {"strategy": "auto", "preset": "balanced", "models": (LITE,), "time_budget_s": 600}
    fewer = {"refine.folds": 2, "refine.views": 1}
    recipe = recipe_of(dataset, **options, overrides=fewer)
    small = recipe.model_copy(update={"batch_size": 8})
    sent = compare(dataset, small, run=run_of(away, tmp_path / "driver", pool)).results
    assert [order.kind for order in pool.tasks] == ["probe", "refine"]
    row = next(row for row in sent.leaderboard if row.name == f"{LITE}:refined")
    assert row.status in {"ok", "skipped"}  # kept or discarded by its own numbers
    assert "last stage" in row.tried
    assert f"{LITE}:refined" in sent.environment["nodes"]


def test_a_node_with_other_weights_is_refused_by_name(dataset, away, tmp_path, pool, monkeypatch):
    monkeypatch.setattr(on_node_module, "fingerprint", lambda *_: "file 0ther")
    with pytest.raises(DatasetError, match=r"No network could be trained.*other weights"):
        compare(dataset, recipe_of(dataset, models=(LITE,)), run=run_of(away, tmp_path / "driver", pool))


def test_a_node_with_other_versions_is_refused_by_name(dataset, away, tmp_path, pool, monkeypatch):
    monkeypatch.setattr(on_node_module, "versions", lambda: {"torch": "1.0"})
    with pytest.raises(DatasetError, match=r"torch 1\.0 instead of"):
        compare(dataset, recipe_of(dataset, models=(NET,)), run=run_of(away, tmp_path / "driver", pool))


def test_a_file_of_weights_travels_with_the_work(dataset, away, tmp_path, pool):
    import torch
    from timm import create_model

    folder = tmp_path / "weights"
    folder.mkdir()
    timm_name = "resnet18"
    torch.save(create_model("resnet18").state_dict(), folder / f"{timm_name}.pth")
    chosen = away.model_copy(update={"weights_dir": folder})
    sent = compare(dataset, recipe_of(dataset, models=("resnet18",)), run=run_of(chosen, tmp_path / "driver", pool))
    row = next(row for row in sent.results.leaderboard if row.name == "resnet18")
    assert (row.weights, row.weights_source) == ("imagenet", "folder")
    assert [path.name for path in (tmp_path / "node" / "weights").rglob("*.pth")] == [f"{timm_name}.pth"]


def test_nothing_secret_is_sent(dataset, away, tmp_path, pool):
    secret = away.model_copy(update={"api_keys": ("s3cret-key",), "mlflow_tracking_uri": "http://u:s3cret@host"})
    run = run_of(secret, tmp_path / "driver", pool)
    compare(dataset, recipe_of(dataset, models=(NET,)), run=run)
    assert not any(b"s3cret" in part for parts in pool._parts.values() for part in parts)
    assert b"s3cret" not in pickle.dumps(pool.tasks)


def test_a_cancellation_on_the_way_ends_the_run(dataset, away, tmp_path, pool):
    asked = threading.Event()

    def cancelled():
        return asked.is_set()

    def report(progress):
        if progress.candidate is not None and progress.candidate.stage == "computing features":
            asked.set()

    with pytest.raises(JobCancelled):
        compare(dataset, recipe_of(dataset), run=run_of(away, tmp_path / "d", pool, report=report, cancelled=cancelled))


def test_a_pool_that_cannot_be_reached_is_said_in_a_sentence(dataset, away, tmp_path, pool, monkeypatch):
    def unreachable(_):
        raise UnavailableError("No Ray cluster answers at 'head:6379'.")

    monkeypatch.setattr(PickledPool, "width", property(unreachable))
    with pytest.raises(UnavailableError, match="head:6379"):
        compare(dataset, recipe_of(dataset), run=run_of(away, tmp_path / "driver", pool))


def test_side_by_side_the_bar_adds_up_and_never_goes_back():
    together, said = _Together(), []
    control = RunControl(report=said.append)

    def order(name, share):
        shown = TurnOrder.__new__(TurnOrder)
        object.__setattr__(shown, "share", share)
        object.__setattr__(shown, "shown_as", type("Named", (), {"name": name}))
        return shown

    one, two = order("a", (0.1, 0.3)), order("b", (0.3, 0.9))
    for who, reached in ((one, 0.2), (two, 0.6), (one, 0.15), (two, 0.9), (one, 0.3)):
        together.report(control, who, Progress(stage="training", message="", progress=reached))
    assert [round(progress.progress, 6) for progress in said] == [0.2, 0.5, 0.5, 0.8, 0.9]


def test_known_rows_are_found_by_place():
    rows = KnownRows(np.array([7, 3, 5]), np.array([[0.7], [0.3], [0.5]]))
    assert rows(np.array([5, 7])).tolist() == [[0.5], [0.7]]


def test_without_a_pool_the_work_stays_here():
    from backend.search.distributed import runner_for
    from backend.search.runner import InProcess

    assert isinstance(runner_for(RunControl()), InProcess)
    assert isinstance(runner_for(RunControl(pool=PickledPool())), Distributed)


@pytest.mark.parametrize("options", [{}, {"strategy": "auto", "preset": "defects", "models": (LITE,), "num_epochs": 1}])
def test_several_labels_are_learned_elsewhere_as_they_are_here(several, away, tmp_path, pool, options):
    recipe = recipe_of(several, **options).model_copy(update={"batch_size": 8})
    here = compare(several, recipe, run=run_of(away, tmp_path / "here"))
    sent = compare(several, recipe, run=run_of(away, tmp_path / "driver", pool))
    assert measured(sent.results) == measured(here.results)
    assert sent.results.task == "multilabel"
    assert sent.results.label_confusion == here.results.label_confusion
    assert sent.model.thresholds == here.model.thresholds
    assert {order.kind for order in pool.tasks} == {"finetune" if options else "probe"}
    with_attention = load_bundle(sent.folder, settings=away).network.cbam
    assert bool(with_attention) == bool(options)
