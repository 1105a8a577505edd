import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.config import Settings
from backend.contracts import Deadline, FinetuneSettings, RunControl
from backend.engine import arithmetic, partial
from backend.engine.batches import Pixels, TrainingData
from backend.engine.models import find_spec
from backend.engine.network import create_network
from backend.engine.partial import (
    Activations,
    FrozenBelow,
    ViewsSize,
    bytes_per_view,
    compute_activations,
    find_cut,
    stage_ends,
    stages_beyond,
)
from backend.engine.trainer import FinetunePlan, finetune
from backend.errors import JobCancelled

FAMILIES = ["timm:test_efficientnet", "timm:test_resnet", "timm:test_vit", "timm:test_convnext", "timm:test_mambaout"]


@pytest.fixture
def pixels(pictures, preprocessing):
    return Pixels(
        images=pictures[0], preprocessing=preprocessing, device=torch.device("cpu"), augmentations=("horizontal_flip",)
    )


@pytest.fixture
def activations(tiny, pixels):
    def compute(views=2, seed=1, trained=1):
        cut = find_cut(tiny, trained=trained)
        return cut, compute_activations(
            pixels, cut, size=ViewsSize(count=36, views=views), seed=seed, control=RunControl()
        )

    return compute


def test_exact_early_stages_are_rounded_only_once(tiny, pixels, monkeypatch):
    """On any processor: bfloat16 that the hardware lacks is emulated."""
    for module in (arithmetic, partial):
        monkeypatch.setattr(module, "has_fast_bfloat16", lambda device_type: True)
    places = np.arange(8)
    with torch.no_grad():
        truth = find_cut(tiny, trained=1).frozen_part(pixels.plain(places))
    exact, rough = (FrozenBelow(pixels, find_cut(tiny, trained=1, exact=one)).plain(places) for one in (True, False))
    assert exact.dtype == rough.dtype == torch.bfloat16
    torch.testing.assert_close(exact, truth.bfloat16(), rtol=0, atol=0)
    assert (rough.float() - truth).abs().mean() > 2 * (exact.float() - truth).abs().mean()


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("trained", [1, 2])
def test_both_parts_of_a_cut_network_answer_as_the_whole_does(name, trained):
    settings = Settings(offline=True, weights_dir=None)
    network = create_network(find_spec(name), num_classes=3, settings=settings, seed=1)
    network.weights = "imagenet"
    cut = find_cut(network, trained=trained)
    assert cut is not None
    batch = torch.randn(2, 3, network.input_size, network.input_size)
    rest = cut.trained_part()
    with torch.inference_mode():
        torch.testing.assert_close(rest.module(cut.frozen_part(batch)), network.module(batch), atol=1e-4, rtol=1e-4)
    fewer, all_of_them = (sum(p.numel() for p in n.module.parameters()) for n in (rest, network))
    assert fewer < all_of_them


def test_more_stages_cost_more(tiny):
    sizes = []
    for trained in (1, 2, 3):
        cut = find_cut(tiny, trained=trained)
        sizes.append(sum(p.numel() for p in cut.trained_part().module.parameters()))
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3


@pytest.mark.parametrize("why", ["scratch", "no stage", "more stages than there are", "cannot be cut"])
def test_what_cannot_be_cut_is_not(tiny, why, monkeypatch):
    trained = {"no stage": 0, "more stages than there are": 99}.get(why, 1)
    if why == "scratch":
        tiny.weights = "scratch"
    if why == "cannot be cut":
        forward = tiny.module.forward_features
        # a network that looks at the pixels again further up
        monkeypatch.setattr(tiny.module, "forward_features", lambda x: forward(x) * x.mean())
    assert find_cut(tiny, trained=trained) is None


def test_a_transformer_of_many_blocks_is_cut_into_a_few_stages():
    network = create_network(
        find_spec("vit_tiny"), num_classes=3, settings=Settings(offline=True, weights_dir=None), seed=1
    )
    assert stage_ends(network.module) == ["blocks.2", "blocks.4", "blocks.7", "blocks.9", "blocks.11"]


def test_only_the_last_stages_move_and_they_come_back_whole(tiny, activations, pictures):
    before = copy.deepcopy(tiny.module.state_dict())
    cut, inputs = activations()
    rest = cut.trained_part()
    data = TrainingData(inputs=inputs, targets=pictures[1], train=np.arange(24), val=np.arange(24, 36))
    settings = FinetuneSettings(backbone_lr=1e-2, head="train", head_epochs=0)
    outcome = finetune(rest, data, settings=settings, plan=FinetunePlan(num_epochs=2, batch_size=8, seed=1))
    after = tiny.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)  # the whole network waits for take_back
    cut.take_back(rest)
    after = tiny.module.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"classifier.weight", "conv_head.weight"} <= moved
    assert not any(name.startswith(("conv_stem", "bn1", "blocks.0")) for name in moved)
    assert moved <= set(rest.module.state_dict())
    # the whole network now answers pixels as its last stages answered what lay below them
    pixels = Pixels(images=pictures[0], preprocessing=cut_preprocessing(), device=torch.device("cpu"))
    with torch.inference_mode():
        scores = tiny.module(pixels.plain(np.arange(24, 36)))
    expected = torch.from_numpy(outcome.val_probabilities)
    torch.testing.assert_close(torch.softmax(scores.double(), 1), expected, atol=0.05, rtol=0)


def cut_preprocessing():
    from backend.contracts import Preprocessing

    return Preprocessing(height=64, width=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def test_view_0_is_the_plain_image_and_the_others_are_random(tiny, pixels, activations):
    cut, kept = activations(views=6)
    places = np.array([5, 0, 35])
    expected = FrozenBelow(pixels, cut).plain(places)
    torch.testing.assert_close(kept.plain(places), expected, atol=0.05, rtol=0.05)
    generator = torch.Generator().manual_seed(0)
    drawn = [kept.training(np.array([7]), generator) for _ in range(30)]
    assert len({float(one.float().sum()) for one in drawn}) == 2  # as it is and mirrored


def test_the_same_seed_draws_the_same_views(activations, pixels, pictures):
    noisy = [activations(views=3, seed=seed)[1] for seed in (1, 1, 2)]
    places = np.arange(36)
    drawn = [one.training(places, torch.Generator().manual_seed(0)) for one in noisy]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_views_take_the_memory_that_was_predicted(tiny, pixels, activations):
    cut, kept = activations(views=2)
    stored = kept._flat
    assert stored.numel() * stored.element_size() == 3 * 36 * bytes_per_view(cut, pixels)


def test_computing_views_can_be_cancelled(tiny, pixels):
    control = RunControl(cancelled=lambda: True, deadline=Deadline(None))
    with pytest.raises(JobCancelled):
        compute_activations(
            pixels, find_cut(tiny, trained=1), size=ViewsSize(count=36, views=1), seed=0, control=control
        )


def test_tokens_of_a_transformer_are_kept_as_they_are():
    tokens = torch.arange(2 * 3 * 5 * 4, dtype=torch.float32).reshape(2, 3, 5, 4)
    kept = Activations(tokens, device=torch.device("cpu"))
    assert torch.equal(kept.plain(np.array([2, 0])), tokens[0, [2, 0]])


def test_a_cut_leaves_the_network_as_it_was(tiny):
    before = copy.deepcopy(tiny.module.state_dict())
    names = [name for name, _ in tiny.module.named_modules()]
    cut = find_cut(tiny, trained=1)
    cut.frozen_part(torch.zeros(1, 3, 64, 64))
    assert replace(cut).after == cut.after
    assert names == [name for name, _ in tiny.module.named_modules()]
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.module.state_dict().items())
    assert tiny.module(torch.zeros(1, 3, 64, 64)).shape == (1, 3)  # no hook stayed behind


def test_stages_are_counted_by_how_much_smaller_their_maps_are(lite0):
    assert [stages_beyond(lite0, stride) for stride in (2, 4, 8, 16, 32)] == [4, 3, 2, 1, 0]
