"""Every network of the catalogue does all that the product asks of one. Registering a network is what tests it."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from backend.contracts import FinetuneSettings, Preprocessing
from backend.engine.batches import Pixels, TrainingData
from backend.engine.bundle import load_bundle, save_bundle
from backend.engine.features import extract_features, predict_probabilities
from backend.engine.models import MODELS
from backend.engine.network import create_network
from backend.engine.probe import LinearHead, install_head
from backend.engine.schedule import freeze_below_head
from backend.engine.trainer import FinetunePlan, finetune

MOST_TRAINED = 12_000_000  # training and saving more takes longer than all the others together
TARGETS = np.array([0, 1, 2, 0])


@pytest.fixture(scope="module", params=list(MODELS), ids=MODELS.names())
def network(request, settings):
    return create_network(request.param, num_classes=3, settings=settings, seed=42)


@pytest.fixture(scope="module")
def fed(network):
    side = network.input_size
    return Preprocessing(height=side, width=side, mean=network.mean, std=network.std)


@pytest.fixture(scope="module")
def images(network):
    side = network.input_size
    return np.random.default_rng(0).integers(0, 256, size=(4, side, side, 3), dtype=np.uint8)


def test_the_entry_tells_the_truth_about_its_network(network):
    spec = network.spec
    body = sum(parameter.numel() for parameter in network.module.parameters()) - 3 * (network.head.in_features + 1)
    assert body + 1000 * (network.head.in_features + 1) == spec.parameters
    assert isinstance(network.module.get_submodule(spec.cam_layer), torch.nn.Module)
    assert spec.description


def test_normalisation_and_hub_are_timms_own(network):
    spec = network.spec
    config = timm.get_pretrained_cfg(spec.timm_name)
    assert (spec.mean, spec.std, spec.hub_id) == (config.mean, config.std, config.hf_hub_id)


def test_it_is_frozen_below_the_head_and_thawed_again(network):
    freeze_below_head(network, frozen=True)
    trainable = sum(parameter.requires_grad for parameter in network.module.parameters())
    freeze_below_head(network, frozen=False)
    assert trainable == 2
    assert all(parameter.requires_grad for parameter in network.module.parameters())


def test_a_network_too_large_to_train_here_has_a_smaller_sibling_that_is():
    trained = {spec.family for spec in MODELS if spec.parameters <= MOST_TRAINED}
    assert {spec.family for spec in MODELS} == trained


def test_its_head_reads_its_features_and_can_be_replaced(network, images, fed):
    features = extract_features(network, images, preprocessing=fed)
    weight = np.random.default_rng(1).normal(size=(3, features.shape[1])) / np.sqrt(features.shape[1])
    head = LinearHead(
        weight=weight, bias=np.arange(3.0), regularisation=1.0, cv_accuracy=0.0, out_of_fold=np.zeros((0, 3))
    )
    install_head(network, head)
    served = predict_probabilities(network, images[:2], preprocessing=fed, exact=False)
    np.testing.assert_allclose(served, head.probabilities(features[:2]), atol=0.06)


def test_it_trains_and_comes_back_from_its_bundle_in_plain_timm(network, images, fed, describe, settings, tmp_path):
    if network.spec.parameters > MOST_TRAINED:
        pytest.skip(
            f"{network.spec.name} has {network.spec.parameters:,} weights; a smaller one of its family is tested"
        )
    data = TrainingData(
        inputs=Pixels(images=images, preprocessing=fed, device=network.device),
        targets=TARGETS,
        train=np.arange(2),
        val=np.arange(2, 4),
    )
    before = next(network.module.parameters()).detach().clone()
    plan = FinetunePlan(num_epochs=1, batch_size=2, seed=0)
    outcome = finetune(network, data, settings=FinetuneSettings(head_epochs=0), plan=plan)
    assert np.isfinite(outcome.history[0].train_loss)
    assert not torch.equal(next(network.module.parameters()), before)

    folder = tmp_path / "model"
    save_bundle(folder, network, info=describe(network, fed), reference=None)
    expected = predict_probabilities(network, images[:1], preprocessing=fed)
    checkpoint = torch.load(folder / "model.pth", weights_only=True)
    plain = timm.create_model(checkpoint["timm_name"], num_classes=len(checkpoint["class_names"]))
    assert checkpoint["cbam"] == []
    plain.load_state_dict(checkpoint["state_dict"])
    assert checkpoint["model_args"] == {}
    assert load_bundle(folder, settings=settings).network.spec == network.spec
    values = torch.from_numpy(images[:1].copy()).permute(0, 3, 1, 2).float() / 255
    inputs = (values - torch.tensor(fed.mean).view(3, 1, 1)) / torch.tensor(fed.std).view(3, 1, 1)
    with torch.inference_mode():
        np.testing.assert_allclose(plain.eval()(inputs).softmax(1).numpy(), expected, atol=1e-4)
