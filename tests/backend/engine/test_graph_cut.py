from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from backend.engine.arithmetic import has_fast_bfloat16
from backend.engine.forward import TorchForward, choice, openvino_library
from backend.engine.forward.graph_cut import cut_in_two
from backend.engine.forward.openvino_forward import graph_of
from backend.engine.forward.openvino_lanes import OpenVinoLanes
from backend.engine.models import find_spec
from backend.engine.network import create_network

pytestmark = pytest.mark.skipif(openvino_library.openvino_version() is None, reason="OpenVINO is not installed")


def outputs(graphs, images):
    """What graphs in float32 answer one after the other, the last one's rows."""
    passed = images
    for graph in graphs:
        compiled = openvino_library.compile_graph(graph, arithmetic="fp32", threads=1, hint="LATENCY")
        passed = compiled([passed])[0]
    return passed


def place_of(front):
    return [axis.get_length() for axis in list(front.output(0).get_partial_shape())[1:]]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mobilenetv3_large", [24, 16, 16]),
        ("resnet18", [64, 16, 16]),
        ("timm:test_vit", [64, 4, 4]),  # after its patches; the rest has no maps
    ],
)
def test_two_halves_give_what_the_whole_gave(name, place, pictures, preprocessing, settings):
    network = create_network(find_spec(name), num_classes=3, settings=settings, seed=1, input_size=64)
    graph = graph_of(network, preprocessing)
    whole = outputs([graph.clone()], pictures[0][:3])
    front, rest = cut_in_two(graph)
    assert place_of(front) == place
    np.testing.assert_allclose(outputs([front, rest], pictures[0][:3]), whole, atol=1e-5 * np.abs(whole).max())


class Bypassed(nn.Module):
    """Its narrowest maps are not all that goes on: others pass them by."""

    def __init__(self):
        super().__init__()
        self.first, self.narrow, self.wide = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)
        self.last = nn.Conv2d(8, 16, 2, 2)

    def forward(self, images):
        maps = self.first(images.permute(0, 3, 1, 2).float())
        return self.last(maps + self.wide(self.narrow(maps))).mean((2, 3))


class Flat(nn.Module):
    def forward(self, images):
        return images.float().flatten(1)


def convert(module, side=32):
    graph = openvino_library.convert(module.eval(), torch.zeros((1, side, side, 3), dtype=torch.uint8))
    graph.reshape([-1, side, side, 3])
    return graph


def test_what_is_passed_by_is_no_place_to_cut():
    graph = convert(Bypassed())
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    whole = outputs([graph.clone()], images)
    front, rest = cut_in_two(graph)
    assert place_of(front) == [8, 8, 8]
    np.testing.assert_allclose(outputs([front, rest], images), whole, rtol=1e-4, atol=1e-4)


def test_without_small_maps_it_is_said_that_there_are_none():
    with pytest.raises(ValueError, match="no small maps"):
        cut_in_two(convert(Flat()))


@pytest.mark.skipif(not has_fast_bfloat16("cpu"), reason="bfloat16 is float32 here")
def test_mixed_arithmetic_lies_between_the_other_two(lite0, pictures, preprocessing):
    exact = TorchForward(lite0, preprocessing, arithmetic="fp32")(pictures[0])
    graph = graph_of(lite0, preprocessing)
    mixed = OpenVinoLanes(graph.clone(), arithmetic="mixed")
    half = OpenVinoLanes(graph.clone(), arithmetic="bf16")
    assert mixed.kind.endswith("-mixed")
    assert mixed.lanes == half.lanes
    apart = choice.apart(mixed(pictures[0]), exact)
    assert 1e-4 < apart < 0.8 * choice.apart(half(pictures[0]), exact)
    # any number a call, each picture by itself
    np.testing.assert_array_equal(mixed(pictures[0][:3]), mixed(pictures[0])[:3])
