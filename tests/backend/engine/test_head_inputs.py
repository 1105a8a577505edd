from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.config import Settings
from backend.contracts import Preprocessing, RunControl
from backend.engine.batches import Pixels
from backend.engine.features import extract_features
from backend.engine.head_inputs import head_inputs
from backend.engine.models import find_spec
from backend.engine.network import create_network
from backend.engine.partial import ViewsSize, compute_activations, find_cut
from backend.errors import JobCancelled

SIDE = 64
FED = Preprocessing(height=SIDE, width=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3)
PLACES = np.array([5, 0, 33, 12])


@pytest.fixture(scope="module")
def network():
    found = create_network(
        find_spec("timm:test_efficientnet"), num_classes=3, settings=Settings(offline=True), seed=1, input_size=SIDE
    )
    found.weights = "imagenet"  # as if it had learned something, so that it may be cut
    return found


@pytest.fixture(scope="module")
def pixels():
    images = np.random.default_rng(0).integers(0, 256, (40, SIDE, SIDE, 3), dtype=np.uint8)
    return Pixels(images=images, preprocessing=FED, device=torch.device("cpu"))


def close(one, other):
    """The early stages' activations are kept as bfloat16."""
    np.testing.assert_allclose(one, other, atol=0.03 * np.abs(other).max())


def test_the_head_reads_the_features_whole_or_cut(network, pixels):
    expected = extract_features(network, pixels.images, preprocessing=FED, places=PLACES)
    close(head_inputs(network, pixels, PLACES, control=RunControl()), expected)
    cut = find_cut(network, trained=1)
    kept = compute_activations(pixels, cut, size=ViewsSize(count=40, views=0), seed=0, control=RunControl())
    close(head_inputs(cut.trained_part(), kept, PLACES, control=RunControl()), expected)


def test_the_network_is_left_as_it_was(network, pixels):
    network.module.train()
    head_inputs(network, pixels, PLACES, control=RunControl())
    assert network.module.training
    assert not network.head._forward_pre_hooks
    network.module.eval()


def test_no_places_are_no_features(network, pixels):
    assert head_inputs(network, pixels, PLACES[:0], control=RunControl()).shape == (0, network.head.in_features)


def test_cancelling_goes_through(network, pixels):
    control = RunControl(cancelled=lambda: True)
    with pytest.raises(JobCancelled):
        head_inputs(network, pixels, PLACES, control=control)
    assert not network.head._forward_pre_hooks
