from __future__ import annotations

import copy
import dataclasses
import socket
import time

import pytest
import torch
from safetensors.torch import save_file

from backend.config import Settings
from backend.engine import hub
from backend.engine.models import MODELS, find_spec
from backend.engine.network import create_network
from backend.engine.weights import load_weights, locate
from backend.errors import InputError, UnavailableError
from tests.waiting import slowness

RESNET = find_spec("resnet18")
LITE0 = find_spec("efficientnet_lite0")


@pytest.fixture(scope="module")
def resnet(settings):
    """A ResNet-18 with a head for three classes; its weights stand in for a download."""
    return create_network(RESNET, num_classes=3, settings=settings, seed=1)


@pytest.fixture
def resnet_state(resnet):
    """Weights like the hub's: the same network, a head for 1000 classes."""
    state = {name: torch.full(value.shape, 0.5) for name, value in resnet.module.state_dict().items()}
    return state | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


@pytest.fixture(autouse=True)
def empty_hub_cache(tmp_path_factory, monkeypatch):
    """The developer's own hub cache must not decide the tests."""
    from huggingface_hub import constants

    folder = tmp_path_factory.mktemp("hub")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path):
    return Settings(offline=True, weights_dir=tmp_path), tmp_path


def put_into_cache(cache, state):
    snapshot = cache / "models--timm--resnet18.a1_in1k" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (cache / "models--timm--resnet18.a1_in1k" / "refs").mkdir()
    (cache / "models--timm--resnet18.a1_in1k" / "refs" / "main").write_text("a" * 40)
    save_file(state, snapshot / "model.safetensors")


def test_bundled_networks_have_weights_without_a_network_and_the_others_have_none(settings):
    found = {spec.name: locate(spec, settings) for spec in MODELS}
    assert {name for name, source in found.items() if source == "bundled"} == {
        "efficientnet_lite0",
        "efficientnet_lite1",
        "efficientnet_lite2",
    }
    assert found["resnet18"] is None


@pytest.mark.parametrize(("file", "label"), [("china.jpg", 698), ("flower.jpg", 985)])  # palace and daisy of ImageNet
def test_the_bundled_weights_recognise_a_palace_and_a_daisy(settings, file, label):
    from PIL import Image
    from sklearn.datasets import load_sample_image

    network = create_network(LITE0, num_classes=1000, settings=settings, seed=0)
    assert (network.weights, network.weights_source) == ("imagenet", "bundled")
    picture = Image.fromarray(load_sample_image(file)).resize(
        (224, 224), Image.Resampling.BICUBIC, box=(107, 0, 533, 427)
    )
    values = torch.tensor(list(picture.tobytes()), dtype=torch.float32).view(1, 224, 224, 3).permute(0, 3, 1, 2)
    with torch.inference_mode():
        scores = network.module(((values / 255 - 0.5) / 0.5).to(network.device))
    assert int(scores.argmax()) == label


def test_a_file_in_the_folder_comes_first_and_its_foreign_head_is_left_out(folder, resnet, resnet_state):
    settings, path = folder
    save_file(resnet_state, path / "resnet18.safetensors")
    module = copy.deepcopy(resnet.module)
    head = module.fc.weight.clone()
    assert locate(RESNET, settings) == "folder"
    assert load_weights(RESNET, module, settings) == ("imagenet", "folder")
    assert torch.all(module.conv1.weight == 0.5)
    assert torch.equal(module.fc.weight, head)


@pytest.mark.parametrize("nest", [lambda state: state, lambda state: {"state_dict": state, "epoch": 3}])
def test_plain_and_nested_pth_files_are_read(folder, resnet, resnet_state, nest):
    settings, path = folder
    torch.save(nest({f"module.{name}": value for name, value in resnet_state.items()}), path / "resnet18.pth")
    module = copy.deepcopy(resnet.module)
    assert load_weights(RESNET, module, settings) == ("imagenet", "folder")
    assert torch.all(module.layer4[1].conv2.weight == 0.5)


def test_a_head_for_as_many_classes_is_taken_over(folder, resnet, resnet_state):
    settings, path = folder
    torch.save(resnet_state | {"fc.weight": torch.ones(3, 512), "fc.bias": torch.ones(3)}, path / "resnet18.pt")
    module = copy.deepcopy(resnet.module)
    load_weights(RESNET, module, settings)
    assert torch.all(module.fc.weight == 1)


def test_a_wrong_file_in_the_folder_is_an_error_that_names_what_is_missing_and_surplus(folder, resnet, resnet_state):
    settings, path = folder
    del resnet_state["conv1.weight"]
    torch.save(resnet_state | {"extra": torch.ones(1), "bn1.weight": torch.ones(7)}, path / "resnet18.pth")
    with pytest.raises(InputError) as caught:
        load_weights(RESNET, copy.deepcopy(resnet.module), settings)
    for words in ("1 missing (conv1.weight)", "1 unexpected (extra)", "bn1.weight (7,) instead of (64,)", "folder"):
        assert words in caught.value.detail


class Payload:
    def __reduce__(self):
        return (pytest.fail, ("code from a weights file was run",))


@pytest.mark.parametrize("content", [b"", b"nonsense", Payload(), {"epoch": 1}, [1, 2]])
def test_files_that_hold_no_plain_weights_are_refused_by_name(folder, resnet, content):
    settings, path = folder
    file = path / "resnet18.pth"
    file.write_bytes(content) if isinstance(content, bytes) else torch.save(content, file)
    with pytest.raises(InputError, match=r"resnet18\.pth"):
        load_weights(RESNET, copy.deepcopy(resnet.module), settings)


def test_the_hub_cache_is_used_without_a_network(empty_hub_cache, settings, resnet, resnet_state):
    put_into_cache(empty_hub_cache, resnet_state)
    module = copy.deepcopy(resnet.module)
    assert locate(RESNET, settings) == "cache"
    assert load_weights(RESNET, module, settings) == ("imagenet", "cache")
    assert torch.all(module.conv1.weight == 0.5)


def test_a_broken_cache_falls_to_the_next_source_and_the_log_says_why(empty_hub_cache, settings, resnet, caplog):
    put_into_cache(empty_hub_cache, {"stranger": torch.ones(1)})
    module = copy.deepcopy(resnet.module)
    assert load_weights(RESNET, module, settings) == ("scratch", None)
    assert any("missing" in record.reason and record.source == "cache" for record in caplog.records)


def test_bundled_weights_that_do_not_count_up_are_not_used(settings, lite0, monkeypatch, caplog):
    from backend.engine import checkpoint

    monkeypatch.setattr(checkpoint, "tensor_names", lambda name: ["only.one"])
    assert load_weights(LITE0, lite0.module, settings) == ("scratch", None)
    assert "needs 1" in caplog.records[-1].reason


def test_offline_never_opens_a_socket(settings, monkeypatch):
    monkeypatch.setattr(socket, "socket", lambda *a, **k: pytest.fail("a socket was opened"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: pytest.fail("a name was looked up"))
    assert locate(RESNET, settings) is None
    assert create_network(RESNET, num_classes=2, settings=settings, seed=0).weights == "scratch"


def test_sources_are_asked_in_the_order_folder_cache_bundled_hub(tmp_path, monkeypatch):
    (tmp_path / f"{LITE0.timm_name}.pth").write_bytes(b"weights")
    monkeypatch.setattr(hub, "cached_file", lambda repo_id: tmp_path / "cached")
    monkeypatch.setattr(hub, "reachable", lambda timeout_s: True)
    order = [locate(LITE0, Settings(weights_dir=tmp_path)), locate(LITE0, Settings())]
    monkeypatch.setattr(hub, "cached_file", lambda repo_id: None)
    order.append(locate(LITE0, Settings()))
    order.append(locate(dataclasses.replace(LITE0, bundled=None), Settings()))
    assert order == ["folder", "cache", "bundled", "hub"]


def test_offline_never_asks_whether_the_hub_is_there(settings, monkeypatch):
    monkeypatch.setattr(hub, "reachable", lambda timeout_s: pytest.fail("the hub was asked"))
    assert settings.offline
    assert locate(RESNET, settings) is None


def test_an_answering_hub_is_the_last_source(monkeypatch):
    monkeypatch.setattr(hub, "reachable", lambda timeout_s: True)
    assert locate(RESNET, Settings(offline=False)) == "hub"
    assert locate(LITE0, Settings(offline=False)) == "bundled"


def test_a_download_that_fails_leaves_a_network_from_scratch_within_the_time_out(monkeypatch, resnet):
    def fail(repo_id, *, timeout_s):
        raise UnavailableError(f"no {repo_id}")

    monkeypatch.setattr(hub, "reachable", lambda timeout_s: True)
    monkeypatch.setattr(hub, "download", fail)
    module = copy.deepcopy(resnet.module)
    started = time.monotonic()
    assert load_weights(RESNET, module, Settings(offline=False)) == ("scratch", None)
    assert time.monotonic() - started < 2 * slowness()
