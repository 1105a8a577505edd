from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from backend.config import Settings
from backend.engine.arithmetic import has_fast_bfloat16
from backend.engine.features import extract_features
from backend.engine.forward import ForwardRequest, TorchForward, build_forward, choice, openvino_library, planned_kind
from backend.engine.forward.openvino_forward import OpenVinoForward, graph_of, openvino_kind
from backend.engine.models import MODELS, find_spec
from backend.engine.network import create_network
from backend.engine.probe import fit_probe

LITE0 = find_spec("efficientnet_lite0")
SMALL = [spec.name for spec in MODELS if (spec.parameters or 0) < 7_000_000]
MANY = 100_000
BEST = "bf16" if has_fast_bfloat16("cpu") else "fp32"

needs_openvino = pytest.mark.skipif(openvino_library.openvino_version() is None, reason="OpenVINO is not installed")


@pytest.fixture
def request_for(tmp_path, preprocessing):
    def build(network, *, identity="a network", fed=preprocessing):
        return ForwardRequest(
            network=lambda: network, preprocessing=fed, identity=identity, cache_dir=tmp_path / "cache"
        )

    return build


def kept(tmp_path):
    return sorted((tmp_path / "cache" / "forward").glob("*/model.xml"))


@pytest.fixture
def exact(lite0, preprocessing):
    return TorchForward(lite0, preprocessing, arithmetic="fp32")


def test_torch_in_float32_gives_the_module_s_own_features(lite0, pictures, preprocessing, exact):
    inputs = (torch.from_numpy(pictures[0].copy()).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        expected = lite0.module.forward_head(lite0.module.forward_features(inputs), pre_logits=True)
    np.testing.assert_allclose(exact(pictures[0]), expected.numpy(), atol=1e-4)
    found = extract_features(lite0, pictures[0], preprocessing=preprocessing)
    np.testing.assert_allclose(TorchForward(lite0, preprocessing, arithmetic=BEST)(pictures[0]), found, atol=1e-6)


@needs_openvino
def test_openvino_in_float32_agrees_to_rounding(lite0, pictures, preprocessing, exact):
    forward = OpenVinoForward(graph_of(lite0, preprocessing), arithmetic="fp32")
    expected = exact(pictures[0])
    np.testing.assert_allclose(forward(pictures[0]), expected, atol=1e-4 * np.abs(expected).max())


@needs_openvino
def test_the_number_of_pictures_does_not_change_their_rows(lite0, pictures, preprocessing):
    forward = OpenVinoForward(graph_of(lite0, preprocessing), arithmetic=BEST)
    whole = forward(pictures[0])
    for count in (1, 3, 5):
        np.testing.assert_array_equal(forward(pictures[0][:count]), whole[:count])
    assert forward(pictures[0][:0]).shape == (0, 1280)


@needs_openvino
def test_training_the_module_afterwards_changes_nothing(lite0, pictures, preprocessing):
    forward = OpenVinoForward(graph_of(lite0, preprocessing), arithmetic="fp32")
    before = forward(pictures[0][:4])
    with torch.no_grad():
        for parameter in lite0.module.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(forward(pictures[0][:4]), before)


@needs_openvino
@pytest.mark.parametrize(
    ("name", "count", "way"),
    [
        ("efficientnet_lite0", MANY, "openvino"),
        ("efficientnet_lite0", 299, "torch"),
        ("efficientnet_b0", 80, "openvino"),
        ("efficientnet_b0", 79, "torch"),
        ("timm:resnet50", 300, "openvino"),
    ],
)
def test_few_pictures_do_not_repay_a_conversion(name, count, way):
    assert planned_kind(find_spec(name), count).startswith(way)


@needs_openvino
def test_the_fast_way_is_taken_and_kept(lite0, pictures, request_for, tmp_path):
    plan = planned_kind(LITE0, MANY)
    first = build_forward(request_for(lite0), plan, pictures[0][:4])
    assert first.kind == plan == openvino_kind(BEST)
    assert len(kept(tmp_path)) == 1

    def refuse():
        raise AssertionError("a network was built")

    request = request_for(lite0)
    again = build_forward(
        ForwardRequest(
            network=refuse, preprocessing=request.preprocessing, identity=request.identity, cache_dir=request.cache_dir
        ),
        plan,
        pictures[0][:4],
    )
    np.testing.assert_array_equal(again(pictures[0]), first(pictures[0]))


@needs_openvino
def test_other_weights_are_converted_anew(lite0, pictures, request_for, tmp_path):
    build_forward(request_for(lite0), planned_kind(LITE0, MANY), pictures[0][:4])
    build_forward(request_for(lite0, identity="others"), planned_kind(LITE0, MANY), pictures[0][:4])
    assert len(kept(tmp_path)) == 2


@needs_openvino
@pytest.mark.parametrize("name", ["model.xml", "model.bin"])
def test_a_damaged_file_is_made_anew(lite0, pictures, request_for, tmp_path, name, exact):
    plan = planned_kind(LITE0, MANY)
    build_forward(request_for(lite0), plan, pictures[0][:4])
    damaged = kept(tmp_path)[0].parent / name
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    forward = build_forward(request_for(lite0), plan, pictures[0][:4])
    assert choice.apart(forward(pictures[0]), exact(pictures[0])) < choice.MOST_APART


@needs_openvino
def test_a_network_that_cannot_be_converted_falls_back_and_says_why(lite0, pictures, request_for, monkeypatch, caplog):
    def refuse(*_):
        raise RuntimeError("no such operation\nand much more")

    monkeypatch.setattr(choice, "graph_of", refuse)
    forward = build_forward(request_for(lite0), planned_kind(LITE0, MANY), pictures[0][:4])
    assert forward.kind.startswith("torch")
    assert caplog.records[0].reason == "no such operation"


@needs_openvino
def test_who_disagrees_makes_way(lite0, pictures, request_for, monkeypatch, caplog, tmp_path):
    class Wrong(OpenVinoForward):
        def __call__(self, images):
            return super().__call__(images)[:, ::-1]

    monkeypatch.setattr(choice, "OpenVinoForward", Wrong)
    forward = build_forward(request_for(lite0), planned_kind(LITE0, MANY), pictures[0][:4])
    assert forward.kind.startswith("torch")
    assert any("disagrees" in record.message for record in caplog.records)
    assert kept(tmp_path) == []


def test_without_openvino_torch_does_it_all(lite0, pictures, request_for, monkeypatch):
    monkeypatch.setattr(openvino_library, "openvino_version", lambda: None)
    plan = planned_kind(LITE0, MANY)
    assert plan.startswith("torch")
    assert build_forward(request_for(lite0), plan, pictures[0][:4]).kind == plan


def test_a_library_that_vanished_since_is_done_without(lite0, pictures, request_for, monkeypatch):
    def gone():
        raise ImportError("libopenvino.so: cannot open shared object file")

    monkeypatch.setattr(openvino_library, "load_openvino", gone)
    monkeypatch.setattr(openvino_library, "_core", gone)
    assert build_forward(request_for(lite0), "openvino-1.0-bf16", pictures[0][:4]).kind.startswith("torch")


def test_an_earlier_choice_of_float32_stands(lite0, pictures, request_for):
    assert build_forward(request_for(lite0), "torch-2.15.0-fp32", pictures[0][:4]).kind.endswith("fp32")


def test_a_gpu_compiles_only_for_very_many_pictures(monkeypatch):
    monkeypatch.setattr(choice, "choose_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(choice, "fast_arithmetic", lambda _: "bf16")
    assert planned_kind(LITE0, 1_000_000).endswith("-cuda-bf16-compiled")
    assert planned_kind(LITE0, 100_000).endswith("-cuda-bf16")


def test_a_compiled_pass_sees_one_shape_and_gives_the_same_rows(lite0, pictures, request_for, monkeypatch):
    shapes = set()

    def compile_(function, **_):
        def run(module, batch):
            shapes.add(tuple(batch.shape))
            return function(module, batch)

        return run

    monkeypatch.setattr(torch, "compile", compile_)
    plain = build_forward(request_for(lite0), "torch-2.15.0-bf16", pictures[0][:4])
    forward = build_forward(request_for(lite0), "torch-2.15.0-bf16-compiled", pictures[0][:4])
    assert forward.kind.endswith("-bf16-compiled")
    np.testing.assert_allclose(forward(pictures[0]), plain(pictures[0]), atol=0.02 * np.abs(plain(pictures[0])).max())
    assert len(shapes) == 1


def test_without_a_compiler_it_is_done_without(lite0, pictures, request_for, monkeypatch, caplog):
    def compile_(_, **__):
        def run(*_):
            raise RuntimeError("no C++ compiler found")

        return run

    monkeypatch.setattr(torch, "compile", compile_)
    forward = build_forward(request_for(lite0), "torch-2.15.0-bf16-compiled", pictures[0][:4])
    assert forward.kind.endswith("-bf16")
    assert caplog.records[0].reason == "no C++ compiler found"


def test_distance_is_in_units_of_the_spread():
    exact = np.array([[0.0, 0.0], [2.0, 0.0]], np.float32)
    assert choice.apart(exact, exact) == 0
    assert choice.apart(exact + np.array([0, 0.5]), exact) == pytest.approx(0.5)
    assert choice.apart(exact[:1] + 1, exact[:1] + 1) == 0
    assert not choice.apart(exact * np.nan, exact) <= choice.MOST_APART


@needs_openvino
def test_loading_the_library_starts_no_telemetry():
    code = (
        "import sys; from backend.engine.forward import openvino_library as library; library.load_openvino();"
        "from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder;"
        "print([name for name in sys.modules if 'telemetry' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", SMALL)
def test_the_chosen_way_gives_the_same_answers_as_float32(name, pictures, preprocessing, request_for):
    """Top-1 of a linear head fitted on the exact features, at least 99.5% of the pictures."""
    images, targets = drawn()
    network = create_network(
        find_spec(name), num_classes=3, settings=Settings(offline=True), seed=42, input_size=images.shape[1]
    )
    fed = preprocessing.model_copy(update={"height": images.shape[1], "width": images.shape[1]})
    exact = TorchForward(network, fed, arithmetic="fp32")(images)
    chosen = build_forward(request_for(network, fed=fed), planned_kind(network.spec, MANY), images[:4])
    head = fit_probe(exact, targets, num_classes=3)
    agreed = head.probabilities(chosen(images)).argmax(axis=1) == head.probabilities(exact).argmax(axis=1)
    assert agreed.mean() >= 0.995


def drawn():
    """60 drawn pictures [60, 96, 96, 3] of three shapes on noise, and their classes."""
    random = np.random.default_rng(0)
    images = []
    for place in range(60):
        image = Image.fromarray(random.integers(0, 160, (96, 96, 3), dtype=np.uint8))
        draw, (x, y) = ImageDraw.Draw(image), random.integers(8, 50, 2)
        box = (x, y, x + 36, y + 36)
        (draw.ellipse, draw.rectangle, draw.line)[place % 3](box, fill=(220, 200, 90), width=4)
        images.append(np.asarray(image))
    return np.stack(images), np.arange(60) % 3
