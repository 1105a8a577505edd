"""A comparison on a real Ray cluster of two nodes on this machine: both compute, one dies, somebody cancels.

Each node is a raylet with one core and processes of its own, as two machines would be; nothing leaves the machine.
"""

import importlib.util
import os
import threading
import time
from pathlib import Path

import pytest

from backend.contracts import Recipe, RunControl
from backend.data import open_dataset
from backend.errors import InputError, JobCancelled
from backend.search.compare import Run, compare
from tests.ports import free_port
from tests.waiting import Meanwhile

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("default"),  # Ray's own
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None and not os.environ.get("CI"),
        reason="Ray is not installed: make setup, or uv pip install -r requirements/ray.txt",
    ),
]

MODELS = ("mobilenetv3_large", "resnet18", "efficientnet_lite0", "efficientnet_lite1")
STARTS = 4
STORE_BYTES = 80 * 2**20  # Ray's least is 75 MiB


def node_options():
    """One core, a small store, and ports that are known: a raylet waits half a minute at most to be told others."""
    names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    return {"num_cpus": 1, "object_store_memory": STORE_BYTES, **{name: free_port() for name in names}}


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_DISABLE_MEMORY_MONITOR", "1")  # it counts what other programs take, and ends tasks
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        from ray.cluster_utils import Cluster

        cluster = started(Cluster)
        try:
            yield cluster
        finally:
            cluster.shutdown()


def started(make):
    """Two nodes. A raylet that does not hear of its agents within 15 s ends itself (Ray 2.60): a busy machine tries again."""
    for attempt in range(1, STARTS + 1):
        cluster = make()
        try:
            cluster.add_node(include_dashboard=False, **node_options())
            cluster.second = cluster.add_node(**node_options())
        except Exception:
            cluster.shutdown()  # nothing of it may stay
            if attempt == STARTS:
                raise
        else:
            return cluster
    raise AssertionError("unreachable")


@pytest.fixture
def dataset(make_zip, settings):
    return open_dataset(make_zip({"circle": 12, "square": 12}), into=settings.datasets_dir, settings=settings)


@pytest.fixture
def far(settings, cluster, tmp_path):
    return settings.model_copy(
        update={
            "executor": "ray",
            "ray_address": cluster.address,
            "ray_cpus_per_trial": 1.0,
            "ray_scratch_dir": tmp_path / "scratch",
            "torch_threads": 1,
        }
    )


def on_the_cluster(dataset, settings, *, data_dir, **control):
    from backend.execution.ray_pool import RayPool

    chosen = settings.model_copy(update={"data_dir": data_dir})
    recipe = Recipe(dataset_id=dataset.info.dataset_id, models=MODELS, strategy="probe")
    with RayPool(chosen) as pool:
        return compare(dataset, recipe, run=Run(settings=chosen, control=RunControl(pool=pool, **control))).results


def here(dataset, settings, *, data_dir):
    chosen = settings.model_copy(update={"data_dir": data_dir, "executor": "local"})
    recipe = Recipe(dataset_id=dataset.info.dataset_id, models=MODELS, strategy="probe")
    return compare(dataset, recipe, run=Run(settings=chosen)).results


def scores(results):
    noise = {"train_seconds", "predict_ms_per_image"}
    return [row.model_dump(exclude=noise) for row in results.leaderboard], results.test, results.history


def nodes_of(results):
    return {name: words.split()[0] for name, words in results.environment["nodes"].items()}


def test_who_starts_a_ray_of_this_machine_stays_until_the_pool_is_left(settings, monkeypatch):
    """Linux ends Ray's processes with the thread that started them, not with the process: it went two seconds later."""
    from backend.execution import ray_pool

    started = []

    def init(**how):
        threading.Event().wait(0.05)
        started.append((threading.current_thread(), how))

    monkeypatch.setattr(ray_pool.ray, "init", init)
    monkeypatch.setattr(ray_pool, "CONNECT_WITHIN_S", 0.0)  # is for a cluster that runs: starting one takes longer
    monkeypatch.setattr(ray_pool.ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 4.0}}])
    monkeypatch.setattr(ray_pool.ray, "shutdown", lambda: None)
    chosen = settings.model_copy(update={"executor": "ray", "ray_cpus_per_trial": 2.0})
    with ray_pool.RayPool(chosen) as pool:
        assert pool.width == 2
        [(thread, how)] = started
        assert how["address"] == "local"
        thread.join(0.2)
        assert thread.is_alive()
    thread.join(30)
    assert not thread.is_alive()


def test_four_candidates_run_on_both_nodes_and_score_as_they_do_here(dataset, far, tmp_path):
    results = on_the_cluster(dataset, far, data_dir=tmp_path / "cluster")
    assert set(nodes_of(results)) == set(MODELS)
    assert len(set(nodes_of(results).values())) == 2
    assert scores(results) == scores(here(dataset, far, data_dir=tmp_path / "here"))


def test_a_node_that_dies_in_the_middle_costs_a_second_attempt_and_nothing_else(cluster, dataset, far, tmp_path):
    under_way, said = set(), []
    killed = threading.Event()

    def kill():
        cluster.remove_node(cluster.second, allow_graceful=False)
        killed.set()

    def report(progress):
        said.append(progress.message)
        if progress.candidate is not None and progress.candidate.stage == "loading":
            under_way.add(progress.candidate.name)
            if len(under_way) == 2:  # both nodes are at work
                under_way.add("killed")
                threading.Thread(target=kill).start()

    results = on_the_cluster(dataset, far, data_dir=tmp_path / "cluster", report=report)
    assert killed.is_set()
    assert {row.status for row in results.leaderboard} == {"ok"}
    assert len(results.leaderboard) == len(MODELS) + 1
    assert any("its node was lost; starting again on another" in message for message in said)
    assert sum("attempt 2" in words for words in results.environment["nodes"].values()) == 1
    assert scores(results) == scores(here(dataset, far, data_dir=tmp_path / "here"))


def test_a_cancellation_ends_the_tasks_within_five_seconds(dataset, far, tmp_path):
    asked = []

    def report(progress):
        if progress.candidate is not None and progress.candidate.stage == "loading" and not asked:
            asked.append(time.monotonic())

    with Meanwhile() as meanwhile, pytest.raises(JobCancelled):
        on_the_cluster(dataset, far, data_dir=tmp_path / "c", report=report, cancelled=lambda: bool(asked))
    taken = time.monotonic() - asked[0]
    assert taken < 5 * meanwhile.slowness()


def test_more_cores_than_any_node_has_are_refused_with_both_numbers(dataset, far, tmp_path):
    greedy = far.model_copy(update={"ray_cpus_per_trial": 64.0})
    with pytest.raises(InputError, match=r"needs 64 cores.*have: 1 and 0"):
        on_the_cluster(dataset, greedy, data_dir=tmp_path / "g")
