"""The deletion test: it must tell a map of what the answer rests on from one of anything else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from backend.data.images import Placement
from backend.engine.models import find_spec
from backend.engine.network import Network
from backend.inference.deletion import (
    MOVES,
    SHARES,
    Marked,
    blurred,
    cells,
    deletion_test,
    moved,
    ranks,
    verdict,
)

SIDE = 56
WHOLE = Placement(0, 0, SIDE, SIDE)


class Brightness(nn.Module):
    """Says "bright" by the mean of one corner of the picture, and nothing else."""

    def __init__(self, rows=slice(0, 16), columns=slice(0, 16), strength=1.0):
        super().__init__()
        self.anything = nn.Parameter(torch.zeros(1))
        self.rows, self.columns, self.strength = rows, columns, strength
        self.batches = []

    def forward(self, pixels):
        self.batches.append(len(pixels))
        seen = self.strength * pixels[:, :, self.rows, self.columns].mean((1, 2, 3))
        return torch.stack([seen, -seen], dim=1)


def network_of(module):
    spec = find_spec("resnet18")
    return Network(
        module=module,
        spec=spec,
        weights="scratch",
        weights_source=None,
        mean=spec.mean,
        std=spec.std,
        input_size=SIDE,
    )


def picture(rows=slice(0, 16), columns=slice(0, 16)):
    """Dark, with one bright patch."""
    pixels = torch.full((1, 3, SIDE, SIDE), -1.0)
    pixels[:, :, rows, columns] = 1.0
    return pixels


def heat_at(rows, columns, side=SIDE):
    heat = np.zeros((side, side), np.float32)
    heat[rows, columns] = 1.0
    return heat


def outcome(module, heat, *, pixels=None, frame=WHOLE, target=0, task="multiclass"):
    marked = Marked(heat=heat, target=target, label="bright", frame=frame)
    return deletion_test(network_of(module), picture() if pixels is None else pixels, marked, task=task)


def test_a_map_of_the_place_that_the_answer_rests_on_is_evidence():
    found = outcome(Brightness(), heat_at(slice(0, 16), slice(0, 16)))
    assert (found.verdict, found.label) == ("evidence", "bright")
    assert found.score > 0.2
    assert found.random < found.score / 2


@pytest.mark.parametrize("corner", [slice(16, 32), slice(24, 40), slice(40, 56)])
def test_a_map_of_another_place_is_weak(corner):
    found = outcome(Brightness(), heat_at(corner, corner))
    assert found.verdict == "weak"
    assert found.score < 0.1


@pytest.mark.parametrize("heat", [np.zeros((SIDE, SIDE)), np.full((SIDE, SIDE), 0.7)], ids=["blank", "even"])
def test_a_map_that_marks_nothing_is_weak(heat):
    middle = slice(20, 36)
    assert outcome(Brightness(middle, middle), heat, pixels=picture(middle, middle)).verdict == "weak"


def test_a_network_that_does_not_look_gives_weak_evidence():
    assert outcome(Brightness(strength=0.0), heat_at(slice(0, 16), slice(0, 16))).verdict == "weak"


def test_a_network_that_overflows_gives_weak_evidence():
    found = outcome(Brightness(strength=float("inf")), heat_at(slice(0, 16), slice(0, 16)), pixels=picture() * 0)
    assert (found.verdict, found.score, found.random) == ("weak", 0.0, 0.0)


def test_the_label_of_a_multi_label_model_is_tested_alone():
    heat = heat_at(slice(0, 16), slice(0, 16))
    found = outcome(Brightness(), heat, task="multilabel")
    assert found.verdict == "evidence"
    assert found.score != outcome(Brightness(), heat).score  # a sigmoid of one score, no softmax of two
    assert outcome(Brightness(), heat, target=1, task="multilabel").verdict == "weak"  # it rises where the other falls


def test_the_same_question_gets_the_same_answer_from_few_images_at_a_time():
    module = Brightness()
    first, second = (outcome(module, heat_at(slice(0, 16), slice(0, 16))) for _ in range(2))
    assert first == second
    assert sum(module.batches) == 2 * (1 + len(SHARES) * (1 + MOVES))
    assert max(module.batches) <= 8


def test_the_border_of_a_letterboxed_picture_is_not_part_of_it():
    frame = Placement(0, 14, SIDE, 28)
    rows, columns = slice(14, 28), slice(0, 14)
    heat = heat_at(rows, columns) + heat_at(slice(0, 14), slice(0, SIDE))  # the border above is as hot
    found = outcome(Brightness(rows, columns), heat, pixels=picture(rows, columns), frame=frame)
    assert found.verdict == "evidence"


def test_a_picture_that_a_crop_cut_is_tested_in_what_was_seen():
    frame = Placement(-20, 0, SIDE + 40, SIDE)
    assert outcome(Brightness(), heat_at(slice(0, 16), slice(0, 16)), frame=frame).verdict == "evidence"


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 5)])
def test_a_picture_of_few_pixels_in_the_input_is_no_trouble(size):
    frame = Placement(4, 6, size[1], size[0])
    assert outcome(Brightness(), heat_at(slice(0, 16), slice(0, 16)), frame=frame).verdict in {"evidence", "weak"}


def test_cells_are_means_and_ranks_begin_with_the_hottest():
    heat = np.zeros((14, 14), np.float32)
    heat[0:2, 2:4] = 1.0
    heat[12:14, 12:13] = 1.0
    found = cells(heat, (7, 7))
    assert (found[0, 1], found[6, 6]) == (1.0, 0.5)
    order = ranks(found)
    assert (order[0, 1], order[6, 6]) == (0, 1)
    assert sorted(order.ravel()) == list(range(49))


def test_moved_maps_hold_the_same_order_elsewhere():
    order = np.arange(49).reshape(7, 7)
    maps = moved(order, 8)
    assert len(maps) == 8
    assert all(sorted(one.ravel()) == sorted(order.ravel()) for one in maps)
    assert not any(np.array_equal(one, order) for one in maps)
    np.testing.assert_array_equal(maps, moved(order, 8))


def test_cold_places_have_no_order_that_favours_a_corner():
    places = ranks(np.zeros((7, 7), np.float32))
    assert sorted(places.ravel()) == list(range(49))
    assert 12 < places[:4, :4].mean() < 36


@pytest.mark.parametrize(
    ("falls", "expected"),
    [
        ([0.5, 0.1, 0.2, 0.1], "evidence"),
        ([0.2, 0.1, 0.3, 0.2], "weak"),
        ([0.02, 0.0, 0.0, 0.0], "weak"),  # two points of the confidence are nothing
        ([0.4, 0.0, 0.9, 0.0], "weak"),  # the others differ more than it stands out
        ([-0.5, -0.9, -0.9, -0.8], "evidence"),
    ],
)
def test_only_what_stands_out_is_evidence(falls, expected):
    assert verdict("x", np.array(falls)).verdict == expected


def test_a_trained_network_gives_evidence_for_a_drawn_shape(predictor, picture):
    from backend.inference.explainers import explained

    corners = [(8, 8), (118, 10), (10, 60), (118, 60)]
    found = [
        explained(predictor.bundle, picture(label, seed=60, size=(160, 100), corner=corner), label)
        for label in ("square", "stripes")
        for corner in corners
    ]
    assert sum(one.evidence.verdict == "evidence" for one in found) >= 7
    # a blurred picture is a disc to this network: where the disc was does not matter to it, and the test says so
    discs = [
        explained(predictor.bundle, picture("disc", seed=60, size=(160, 100), corner=one), "disc") for one in corners
    ]
    assert max(one.evidence.score for one in discs) < min(one.evidence.score for one in found)


def test_of_a_network_that_learned_nothing_most_maps_are_weak(predictor, picture):
    import timm

    from backend.inference.explainers import explained

    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = timm.create_model(predictor.bundle.info.timm_name, num_classes=3).eval()
    bundle = replace(predictor.bundle, network=replace(predictor.bundle.network, module=module))
    pictures = [picture(label, seed=61 + place) for place, label in enumerate(("disc", "square", "stripes") * 2)]
    found = [explained(bundle, one, "disc").evidence.verdict for one in pictures]
    assert found.count("weak") >= 4


def test_a_blurred_place_is_a_mean_of_means_up_to_the_edges():
    pixels = torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    expected, reach = pixels, (3, 5)
    for _ in range(2):
        padded = functional.pad(expected, (reach[1], reach[1], reach[0], reach[0]), mode="replicate")
        expected = functional.avg_pool2d(padded, (2 * reach[0] + 1, 2 * reach[1] + 1), stride=1)
    assert torch.allclose(blurred(pixels), expected, atol=1e-6)


def test_blurring_a_strip_at_full_size_adds_up_few_numbers(monkeypatch):
    """A window of 401 x 65 pixels at each of 1600 x 256 places took minutes; running sums take two passes."""
    monkeypatch.setattr(functional, "avg_pool2d", lambda *_, **__: pytest.fail("a window is added up at every place"))
    strip = torch.linspace(0, 1, 1600).expand(1, 3, 256, 1600)
    found = blurred(strip)
    assert found.shape == strip.shape
    assert torch.allclose(found[..., 400:1200], strip[..., 400:1200], atol=1e-5)  # a mean of a ramp is its middle
