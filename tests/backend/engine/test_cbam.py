"""CBAM against the paper's formula in float64, its start as the network that it was, and its way into files."""

import numpy as np
import pytest
import timm
import torch
from scipy.signal import correlate2d

from backend.config import Settings
from backend.contracts import Preprocessing
from backend.engine.cbam import Cbam, cbam_names, insert_cbam, load_with_cbam
from backend.engine.forward import TorchForward, openvino_library
from backend.engine.forward.openvino_forward import OpenVinoForward, graph_of
from backend.engine.models import MODELS, find_spec
from backend.engine.network import count_parameters, create_network
from backend.errors import RecipeError
from backend.inference.exporters import standalone

TINY = "timm:test_efficientnet"


def sigmoid(value: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-value))


def by_the_paper(attention: Cbam, features: np.ndarray) -> np.ndarray:
    """Woo et al. 2018, equations 2 and 3, picture by picture, each gate twice a sigmoid."""
    squeeze, squeeze_bias = attention.squeeze.weight.numpy(), attention.squeeze.bias.numpy()
    expand, expand_bias = attention.expand.weight.numpy(), attention.expand.bias.numpy()
    kernel = attention.places.weight.numpy()[0]
    answers = []
    for one in features:
        pooled = [one.mean(axis=(1, 2)), one.max(axis=(1, 2))]
        scores = sum(expand @ np.maximum(squeeze @ row + squeeze_bias, 0) + expand_bias for row in pooled)
        weighted = one * (2 * sigmoid(scores))[:, None, None]
        seen = [weighted.mean(axis=0), weighted.max(axis=0)]
        padded = [np.pad(plane, 3) for plane in seen]
        places = sum(correlate2d(plane, part, mode="valid") for plane, part in zip(padded, kernel, strict=True))
        answers.append(weighted * (2 * sigmoid(places))[None])
    return np.stack(answers)


def stirred(attention: Cbam) -> Cbam:
    """With weights that do something."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return attention


def test_attention_is_the_papers() -> None:
    attention = stirred(Cbam(32)).double().requires_grad_(requires_grad=False)
    features = torch.randn(3, 32, 5, 11, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    found = attention(features).numpy()

    expected = by_the_paper(attention, features.numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    single = attention.float()(features.float()).numpy()
    np.testing.assert_allclose(single, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("timm_name", ["tf_efficientnet_lite0", "convnext_atto", "resnet18", "mobilenetv3_small_050"])
def test_a_network_with_fresh_attention_is_the_network_that_it_was(timm_name: str) -> None:
    module = timm.create_model(timm_name, num_classes=3).eval()
    picture = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        before = module(picture)
        names, weights = insert_cbam(module), set(module.state_dict())
        after = module.eval()(picture)

    assert torch.equal(before, after)
    assert len(names) == 2
    assert cbam_names(module) == names
    assert set(timm.create_model(timm_name, num_classes=3).state_dict()) < weights


def test_attention_learns_from_the_first_step_on() -> None:
    module = timm.create_model("resnet10t", num_classes=2)
    insert_cbam(module)

    module(torch.randn(2, 3, 64, 64)).square().sum().backward()

    for name, part in module.named_modules():
        if isinstance(part, Cbam):
            for last in (part.expand.weight, part.places.weight):
                assert last.grad is not None, name
                assert last.grad.abs().max() > 0, name


@pytest.mark.parametrize("timm_name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_a_network_without_maps_is_refused_with_what_to_choose(timm_name: str) -> None:
    with torch.device("meta"):
        module = timm.create_model(timm_name, num_classes=2)

    with pytest.raises(RecipeError, match=r"no stages of feature maps.*convnext_tiny"):
        insert_cbam(module)


def test_any_network_of_the_catalogue_may_be_asked_for_with_attention() -> None:
    spec = find_spec("efficientnet_lite0_cbam")

    assert spec.cbam
    assert spec.timm_name == MODELS.get("efficientnet_lite0").timm_name
    assert find_spec("convnext_tiny_cbam") is MODELS.get("convnext_tiny_cbam")
    assert find_spec("timm:resnet10t_cbam").timm_name == "resnet10t"
    with pytest.raises(RecipeError, match="efficientnet_lite0"):
        find_spec("efficientnet_lite00_cbam")


def test_the_catalogue_counts_the_weights_of_attention_too() -> None:
    spec = MODELS.get("convnext_tiny_cbam")
    with torch.device("meta"):
        module = timm.create_model(spec.timm_name, num_classes=1000)
        insert_cbam(module)

    assert sum(parameter.numel() for parameter in module.parameters()) == spec.parameters


def test_a_network_is_built_with_attention_and_counts_it(settings: Settings) -> None:
    plain = create_network(find_spec(TINY), num_classes=2, settings=settings, seed=1)
    attentive = create_network(find_spec(f"{TINY}_cbam"), num_classes=2, settings=settings, seed=1)

    assert attentive.cbam
    assert plain.cbam == ()
    assert count_parameters(attentive) > count_parameters(plain)


def test_the_file_to_take_away_computes_the_same() -> None:
    """`predict.py` rebuilds with torch and timm alone; its copy of the module must not drift away from this one."""
    ours = timm.create_model("resnet10t", num_classes=2).eval()
    names = insert_cbam(ours)
    for name in names:
        stirred(ours.get_submodule(name))  # type: ignore[arg-type]
    theirs = timm.create_model("resnet10t", num_classes=2).eval()
    again = timm.create_model("resnet10t", num_classes=2).eval()
    for name in names:
        standalone.add_cbam(theirs, name)
    load_with_cbam(again, names)
    picture = torch.randn(2, 3, 64, 96)

    with torch.inference_mode():
        expected = ours(picture)
        for other in (theirs, again):
            other.load_state_dict(ours.state_dict())
            assert torch.equal(other.eval()(picture), expected)


@pytest.mark.skipif(openvino_library.openvino_version() is None, reason="OpenVINO is not installed")
def test_the_library_that_serves_computes_attention_on_a_long_picture_too(settings: Settings) -> None:
    network = create_network(find_spec(f"{TINY}_cbam"), num_classes=2, settings=settings, seed=1, pooling="max")
    for name in network.cbam:
        stirred(network.module.get_submodule(name))  # type: ignore[arg-type]
    how = Preprocessing(height=32, width=128, resize="pad", mean=network.mean, std=network.std)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 128, 3), dtype=np.uint8)

    converted = OpenVinoForward(graph_of(network, how), arithmetic="fp32", batch=1)(pictures)

    expected = TorchForward(network, how, arithmetic="fp32")(pictures)
    np.testing.assert_allclose(converted, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
