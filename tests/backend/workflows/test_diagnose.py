"""What `sightglass doctor` finds."""

import pytest

from backend.contracts import Candidate
from backend.workflows import diagnose as module
from backend.workflows.diagnose import diagnose


@pytest.fixture
def networks(monkeypatch):
    """Two networks: one with bundled weights, one default with none."""
    bundled = Candidate(name="lite0", family="lite", timm_name="lite0", weights="imagenet", weights_source="bundled")
    bare = Candidate(name="vit", family="vit", timm_name="vit", default=True)
    monkeypatch.setattr(module, "list_candidates", lambda settings: [bundled, bare])


def findings(settings):
    return {finding.subject: finding for finding in diagnose(settings)}


@pytest.fixture
def found(networks, settings):
    return findings(settings)


def test_a_sound_machine_has_no_problem(found):
    assert [finding for finding in found.values() if finding.state == "problem"] == []


def test_libraries_and_arithmetic_are_named(found, settings):
    assert "torch " in found["libraries"].detail
    assert "timm " in found["libraries"].detail
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
