from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.engine.bundle import load_bundle, save_bundle
from backend.engine.features import predict_probabilities
from backend.engine.model_folder import load_info
from backend.engine.models import find_spec
from backend.engine.network import create_network
from backend.engine.reference import build_reference
from backend.errors import ConflictError, InputError, NotFoundError
from backend.inference.exporters.request import read_report
from backend.storage.answers import read_answers

# What a user does with the download: nothing of ours, three lines for the network.
PLAIN_TIMM = """
import sys, numpy as np, torch, timm
torch.set_num_threads(1)
ckpt = torch.load(sys.argv[1], weights_only=True)
net = timm.create_model(ckpt["timm_name"], num_classes=len(ckpt["class_names"]))
net.load_state_dict(ckpt["state_dict"])
p = ckpt["preprocessing"]
x = torch.from_numpy(np.load(sys.argv[2])).permute(0, 3, 1, 2) / 255
x = (x - torch.tensor(p["mean"]).view(3, 1, 1)) / torch.tensor(p["std"]).view(3, 1, 1)
with torch.inference_mode():
    np.save(sys.argv[3], net.eval()(x.float()).softmax(1).numpy())
assert "backend" not in sys.modules
"""


@pytest.fixture
def reference():
    features = np.random.default_rng(0).normal(size=(12, 8)).astype(np.float32)
    return build_reference(features, features + 0.1, image_ids=list("abcdefghijkl"), labels=["x"] * 12)


@pytest.fixture
def saved(lite0, preprocessing, describe, reference, tmp_path):
    folder = tmp_path / "models" / "model-1"
    save_bundle(folder, lite0, info=describe(lite0, preprocessing), reference=reference)
    return folder


def test_a_clean_process_with_torch_and_timm_alone_gives_the_same_answers(
    saved, lite0, pictures, preprocessing, tmp_path
):
    np.save(tmp_path / "images.npy", pictures[0])
    arguments = [str(saved / "model.pth"), str(tmp_path / "images.npy"), str(tmp_path / "answers.npy")]
    subprocess.run([sys.executable, "-c", PLAIN_TIMM, *arguments], check=True, cwd=tmp_path)
    ours = predict_probabilities(lite0, pictures[0], preprocessing=preprocessing)
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), ours, atol=1e-5)


def test_loading_gives_back_network_metadata_and_reference(saved, lite0, pictures, preprocessing, settings, reference):
    bundle = load_bundle(saved, settings=settings)
    assert bundle.info == load_info(saved)
    assert (bundle.network.spec, bundle.network.weights_source) == (lite0.spec, "bundled")
    assert bundle.network.input_size == 64
    np.testing.assert_array_equal(bundle.reference.features, reference.features)
    np.testing.assert_allclose(
        predict_probabilities(bundle.network, pictures[0], preprocessing=bundle.info.preprocessing),
        predict_probabilities(lite0, pictures[0], preprocessing=preprocessing),
        atol=1e-6,
    )


def test_the_checkpoint_holds_what_a_stranger_needs(saved, preprocessing):
    checkpoint = torch.load(saved / "model.pth", weights_only=True)
    assert checkpoint["timm_name"] == "tf_efficientnet_lite0"
    assert checkpoint["class_names"] == ["blue", "green", "red"]
    assert checkpoint["preprocessing"] == preprocessing.model_dump(mode="json")
    assert (checkpoint["input_size"], checkpoint["model_args"]) == (64, {})
    assert all(tensor.is_contiguous() for tensor in checkpoint["state_dict"].values())


def test_a_transformer_at_another_size_comes_back_at_that_size(settings, preprocessing, describe, tmp_path):
    network = create_network(find_spec("timm:test_vit"), num_classes=3, settings=settings, seed=0, input_size=64)
    save_bundle(tmp_path / "vit", network, info=describe(network, preprocessing), reference=None)
    bundle = load_bundle(tmp_path / "vit", settings=settings)
    assert (bundle.network.input_size, bundle.network.model_args) == (64, {"img_size": 64})
    assert bundle.reference is None
    images = np.zeros((1, 64, 64, 3), np.uint8)
    assert predict_probabilities(bundle.network, images, preprocessing=preprocessing).shape == (1, 3)


def test_a_model_of_a_network_that_left_the_catalogue_still_opens(lite0, preprocessing, describe, settings, tmp_path):
    info = describe(lite0, preprocessing).model_copy(update={"name": "forgotten"})
    save_bundle(tmp_path / "old", lite0, info=info, reference=None)
    assert load_bundle(tmp_path / "old", settings=settings).network.spec.name == "timm:tf_efficientnet_lite0"


def test_an_existing_model_is_not_overwritten(saved, lite0, preprocessing, describe):
    before = (saved / "model.pth").stat().st_mtime_ns
    with pytest.raises(ConflictError):
        save_bundle(saved, lite0, info=describe(lite0, preprocessing), reference=None)
    assert (saved / "model.pth").stat().st_mtime_ns == before


def test_a_failure_while_saving_leaves_no_folder(lite0, preprocessing, describe, tmp_path):
    class Broken:
        def save(self, path):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        save_bundle(tmp_path / "model-2", lite0, info=describe(lite0, preprocessing), reference=Broken())
    assert list(tmp_path.iterdir()) == []


def test_class_names_that_do_not_go_with_the_network_are_refused(lite0, preprocessing, describe, tmp_path):
    with pytest.raises(ValueError, match="3 classes, 2 class names"):
        save_bundle(tmp_path / "m", lite0, info=describe(lite0, preprocessing, ("a", "b")), reference=None)


@pytest.mark.parametrize("name", ["model.json", "model.pth"])
def test_a_missing_file_is_not_found_by_name(saved, settings, name):
    (saved / name).unlink()
    with pytest.raises(NotFoundError, match=name):
        load_bundle(saved, settings=settings)


@pytest.mark.parametrize("name", ["model.json", "model.pth", "reference.npz"])
def test_a_damaged_file_is_named(saved, settings, name):
    (saved / name).write_bytes((saved / name).read_bytes()[:100])
    with pytest.raises(InputError, match=name):
        load_bundle(saved, settings=settings)


@pytest.mark.parametrize("junk", [b"junk", b"", b"\x80\x02.", b"(t.", b"\x80\x02}q\x00X", b"\xff" * 40, b"PK\x03\x04"])
def test_weights_that_are_anything_at_all_are_named_as_damaged(saved, settings, junk):
    (saved / "model.pth").write_bytes(junk)
    with pytest.raises(InputError, match=r"'model\.pth' cannot be read as weights"):
        load_bundle(saved, settings=settings)


def test_a_checkpoint_of_something_else_says_what_it_lacks(saved, settings):
    torch.save({"state_dict": {}}, saved / "model.pth")
    with pytest.raises(InputError, match="lacks class_names, input_size, model_args, timm_name"):
        load_bundle(saved, settings=settings)


def test_weights_that_do_not_fit_are_refused(saved, settings):
    checkpoint = torch.load(saved / "model.pth", weights_only=True)
    torch.save(checkpoint | {"state_dict": {}}, saved / "model.pth")
    with pytest.raises(InputError, match="does not fit tf_efficientnet_lite0"):
        load_bundle(saved, settings=settings)


@pytest.mark.parametrize("read", [load_info, read_answers, read_report], ids=lambda read: read.__name__)
def test_a_model_that_is_deleted_while_it_is_read_is_not_found_and_no_mistake(tmp_path, monkeypatch, read) -> None:
    """A look before the reading would still have found it."""
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    if read is read_report:
        assert read(tmp_path / "model-1") is None
        return
    with pytest.raises(NotFoundError):
        read(tmp_path / "model-1")
