"""What `sightglass doctor` finds."""

import pytest

from backend.contracts import Candidate
from backend.engine.try_step import TriedStep
from backend.storage.database import Database
from backend.workflows import diagnose as module
from backend.workflows.diagnose import diagnose
from backend.workflows.packages import Package


@pytest.fixture
def networks(monkeypatch):
    """Two networks: one with bundled weights, one default with none."""
    bundled = Candidate(name="lite0", family="lite", timm_name="lite0", weights="imagenet", weights_source="bundled")
    bare = Candidate(name="vit", family="vit", timm_name="vit", default=True)
    monkeypatch.setattr(module, "list_candidates", lambda settings: [bundled, bare])


def findings(settings, *, quick=True):
    return {finding.subject: finding for finding in diagnose(settings, quick=quick)}


@pytest.fixture
def found(networks, settings):
    return findings(settings)


def test_a_sound_machine_has_no_problem(found):
    assert [finding for finding in found.values() if finding.state == "problem"] == []


def test_packages_devices_and_arithmetic_are_named(found, settings):
    assert "torch " in found["packages"].detail
    assert "hydra-core " in found["packages"].detail
    assert "processor: " in found["devices"].detail
    assert f"{settings.torch_threads} threads" in found["arithmetic"].detail


def test_each_network_says_where_its_weights_come_from(found):
    assert found["weights of lite0"].detail == "ImageNet, from: bundled"
    assert found["weights of vit"].state == "warning"
    assert "SIGHTGLASS_OFFLINE" in found["weights of vit"].detail


def test_a_full_disk_is_a_warning(networks, settings, monkeypatch):
    monkeypatch.setattr(module, "free_bytes", lambda path: 1024**3)
    assert findings(settings)["disk"].state == "warning"
    assert findings(settings)["disk"].detail.startswith("1.0 GiB free for ")


def test_a_write_that_fails_is_a_problem_with_advice(networks, settings, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module.tempfile, "TemporaryFile", refuse)
    finding = findings(settings)["data folder"]
    assert finding.state == "problem"
    assert "Permission denied; choose another with SIGHTGLASS_DATA_DIR" in finding.detail


def test_looking_leaves_nothing_behind(found, settings):
    assert not settings.data_dir.exists() or list(settings.data_dir.iterdir()) == []


def test_who_computes_is_named_and_a_cluster_that_does_not_answer_is_a_problem(networks, settings):
    assert findings(settings)["executor"].detail.startswith("local")
    far = settings.model_copy(update={"executor": "ray", "ray_address": "no address"})
    assert findings(far)["executor"].state == "problem"


def test_a_training_step_is_tried_unless_haste_is_asked_for(networks, settings, found, monkeypatch):
    assert "training step" not in found
    monkeypatch.setattr(module, "_packages", lambda settings, *, load: [])
    step = findings(settings, quick=False)["training step"]
    assert step.state == "ok"
    assert step.detail.startswith("loss ")


@pytest.mark.parametrize(
    "outcome", [RuntimeError("CUDA error: out of memory"), TriedStep(losses=(float("nan"),), seconds=1, device="cuda")]
)
def test_a_step_that_fails_is_a_problem_with_advice(outcome, monkeypatch):
    def stand_in():
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr("backend.engine.try_step.try_step", stand_in)
    finding = module._step()
    assert finding.state == "problem"
    assert "CUDA_VISIBLE_DEVICES" in finding.detail or "install torch anew" in finding.detail


def test_a_missing_package_is_named_with_the_command_that_installs_it(networks, settings, monkeypatch):
    lacking = Package(name="no-such-thing", module="no_such_thing", purpose="training")
    spare = Package(name="nor-this", module="nor_this", purpose="plots", optional=True)
    monkeypatch.setattr(module, "PACKAGES", (lacking, spare))
    found = findings(settings)
    assert found["no-such-thing"].state == "problem"
    assert "needed for training. Install it: python -m pip install no-such-thing" in found["no-such-thing"].detail
    assert found["nor-this"].state == "warning"


def test_without_torch_the_rest_is_looked_at_all_the_same(networks, settings, monkeypatch):
    monkeypatch.setattr(module, "PACKAGES", (Package(name="torch", module="no_such_torch", purpose="training"),))
    found = findings(settings, quick=False)
    assert found["torch"].state == "problem"
    assert {"database", "storage", "disk", "executor"} <= set(found)
    assert not {"devices", "training step"} & set(found)


def test_a_database_that_is_there_answers_and_one_that_is_not_is_left_unmade(networks, settings):
    assert "made at the first start" in findings(settings)["database"].detail
    assert not settings.data_dir.exists()
    database = Database(settings.resolved_database_url)
    database.migrate()
    database.close()
    assert findings(settings)["database"].detail.endswith("answers")


def test_a_database_or_a_storage_that_does_not_answer_is_a_problem(networks, settings, tmp_path):
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database at all" * 100)
    (tmp_path / "file").write_text("in the way")
    far = settings.model_copy(
        update={"database_url": f"sqlite:///{broken}", "storage_url": f"file://{tmp_path}/file/below"}
    )
    found = findings(far)
    assert found["database"].state == "problem"
    assert "SIGHTGLASS_DATABASE_URL" in found["database"].detail
    assert found["storage"].state == "problem"
    assert "SIGHTGLASS_STORAGE_URL" in found["storage"].detail


def test_a_card_that_torch_does_not_know_is_a_warning(networks, settings, monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr("backend.engine.environment.knows_graphics_cards", lambda: False)
    assert findings(settings)["devices"].state == "warning"
