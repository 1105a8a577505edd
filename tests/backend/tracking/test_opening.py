import subprocess
import sys
import threading

import pytest

from backend.tracking import opening as module
from backend.tracking.mlflow_tracker import MlflowTracker, mirror_registry
from backend.tracking.opening import LOCK, opening
from tests.waiting import PATIENCE_S

HOLD = """
import sys
from pathlib import Path
from backend.tracking.opening import opening
with opening(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_waits_until_the_first_has_opened(tmp_path):
    order = []

    def open_too():
        with opening(tmp_path):
            order.append("second")

    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with first:
        assert first.stdout.readline() == "held\n"
        second = threading.Thread(target=open_too)
        second.start()
        second.join(3 * module.PAUSE_S)
        assert second.is_alive()
        order.append("first")
        first.stdin.close()
        second.join(PATIENCE_S)
    assert order == ["first", "second"]


def test_who_has_waited_long_enough_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WAIT_S", 0.0)
    monkeypatch.setattr(module, "try_lock", lambda _: None)  # a drive that knows no locks
    with opening(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()


def test_whatever_opens_a_store_takes_its_turn(settings, tmp_path, monkeypatch):
    """Trainings and the registry's mirror are processes of their own, and any of them may meet a new store first."""
    locked = []

    def refuse(uri):
        locked.append(module.try_lock(tmp_path / "data" / LOCK) is None)
        raise RuntimeError(uri)

    monkeypatch.setattr("backend.tracking.mlflow_tracker._connect", refuse)
    tracked = settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"})
    with pytest.raises(RuntimeError):
        mirror_registry(tracked, "ds-1", [])
    tracker = MlflowTracker("sqlite://", artifact_root=tmp_path / "data" / "mlflow-artifacts")
    tracker.start(run_name="job-1", params={}, tags={})
    assert tracker._steps.close(timeout_s=PATIENCE_S)
    assert locked == [True, True]
