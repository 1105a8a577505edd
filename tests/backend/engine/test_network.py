from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.engine.features import extract_features, predict_probabilities
from backend.engine.models import find_spec
from backend.engine.network import create_network
from backend.errors import RecipeError


def weights_of(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.module.parameters()])


def test_scratch_weights_follow_from_the_seed_and_leave_the_callers_random_state_alone(settings):
    spec = find_spec("timm:test_resnet")
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, same, other = (create_network(spec, num_classes=4, settings=settings, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(weights_of(first), weights_of(same))
    assert not torch.equal(weights_of(first), weights_of(other))
    assert (first.weights, first.weights_source) == ("scratch", None)


def test_any_timm_name_brings_its_own_size_and_normalisation(settings):
    network = create_network(find_spec("timm:test_vit"), num_classes=5, settings=settings, seed=0)
    assert network.num_classes == 5
    assert network.input_size == 160
    assert network.mean == (0.5, 0.5, 0.5)
    assert network.spec.hub_id == "timm/test_vit.r160_in1k"
    assert network.model_args == {}


def test_a_transformer_at_another_size_is_built_for_it_and_says_how(settings, preprocessing):
    network = create_network(find_spec("timm:test_vit"), num_classes=2, settings=settings, seed=0, input_size=64)
    assert network.model_args == {"img_size": 64}
    images = np.zeros((2, 64, 64, 3), np.uint8)
    assert predict_probabilities(network, images, preprocessing=preprocessing).shape == (2, 2)


def test_a_convolutional_network_takes_another_size_without_an_argument(lite0, pictures, preprocessing):
    assert lite0.input_size == 64
    assert lite0.model_args == {}
    assert extract_features(lite0, pictures[0][:2], preprocessing=preprocessing).shape == (2, 1280)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timm:resnet81", "Did you mean 'timm:resnet"),
        ("timm:resnet18.no_such_tag", "no_such_tag"),
        ("timm:hf-hub:stranger/model", "timm has no network"),
        ("timm:local-dir:/etc", "timm has no network"),
        ("timm:zzzzzzzz", "list_models"),
    ],
)
def test_a_name_that_timm_does_not_know_is_refused_with_what_to_do(settings, name, words):
    with pytest.raises(RecipeError, match=words):
        create_network(find_spec(name), num_classes=2, settings=settings, seed=0)


def test_a_network_without_one_linear_classifier_is_refused_by_name(settings):
    with pytest.raises(RecipeError, match="Choose another network"):
        create_network(find_spec("timm:levit_128s"), num_classes=2, settings=settings, seed=0)
