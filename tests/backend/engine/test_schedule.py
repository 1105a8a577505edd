import copy

import numpy as np
import pytest
import torch

from backend.contracts import FinetuneSettings
from backend.engine.batches import Pixels, TrainingData
from backend.engine.partial import find_cut
from backend.engine.schedule import make_optimiser, make_scheduler, plan_phases, stage_depths, thaw
from backend.engine.trainer import FinetunePlan, finetune


@pytest.fixture
def data(pictures, preprocessing):
    inputs = Pixels(images=pictures[0], preprocessing=preprocessing, device=torch.device("cpu"))
    return TrainingData(inputs=inputs, targets=pictures[1], train=np.arange(24), val=np.arange(24, 36))


def rates(network, **settings):
    groups = make_optimiser(network, FinetuneSettings(backbone_lr=1.0, head_lr=2.0, **settings)).param_groups
    by_id = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    return {name: by_id[id(parameter)] for name, parameter in network.module.named_parameters()}


def test_each_stage_is_slower_than_the_one_above_it(tiny):
    found = rates(tiny, layer_decay=0.5)
    assert found["classifier.weight"] == 2.0
    assert found["conv_head.weight"] == 1.0
    depths = stage_depths(tiny)
    assert found["conv_stem.weight"] == pytest.approx(0.5 ** (max(depths.values()) - 1))
    assert found["blocks.0.0.conv.weight"] == pytest.approx(2 * found["conv_stem.weight"])
    assert set(rates(tiny, layer_decay=1.0).values()) == {1.0, 2.0}


def test_depths_are_counted_from_the_head_in_a_cut_network_too(tiny):
    whole, part = stage_depths(tiny), stage_depths(find_cut(tiny, trained=1).trained_part())
    assert set(part) < set(whole)
    assert all(whole[name] == depth for name, depth in part.items())
    assert sorted(set(part.values())) == list(range(max(part.values()) + 1))


def test_lower_stages_move_less(tiny, data):
    before = copy.deepcopy(tiny.module.state_dict())
    settings = FinetuneSettings(backbone_lr=1e-3, head="train", head_epochs=0, layer_decay=0.3, weight_decay=0.0)
    finetune(tiny, data, settings=settings, plan=FinetunePlan(num_epochs=2, batch_size=8, seed=1, keep="last"))
    after = tiny.module.state_dict()

    def moved(name):
        return float((after[name] - before[name]).abs().mean())

    # AdamW's steps are as long as the rate, whatever the gradient
    assert moved("conv_stem.weight") < 0.3 * moved("conv_head.weight")


def test_the_last_stages_thaw_first(tiny):
    depths = stage_depths(tiny)
    deepest = max(depths.values())
    for share, free in ((0.0, 0), (1 / deepest, 1), (1.0, deepest)):
        thaw(tiny, share=share)
        found = {name for name, parameter in tiny.module.named_parameters() if parameter.requires_grad}
        assert found == {name for name, depth in depths.items() if depth <= free}


def test_stages_are_set_free_one_after_another(tiny, data):
    states = {0: copy.deepcopy(tiny.module.state_dict())}

    def keep(record):
        states[record.epoch] = copy.deepcopy(tiny.module.state_dict())

    settings = FinetuneSettings(backbone_lr=1e-3, head="train", head_epochs=0, unfreeze_epochs=1)
    plan = FinetunePlan(num_epochs=2, batch_size=8, seed=1)
    finetune(tiny, data, settings=settings, plan=plan, on_epoch=keep)
    assert torch.equal(states[0]["conv_stem.weight"], states[1]["conv_stem.weight"])
    assert not torch.equal(states[0]["conv_head.weight"], states[1]["conv_head.weight"])
    assert not torch.equal(states[1]["conv_stem.weight"], states[2]["conv_stem.weight"])


@pytest.mark.parametrize(
    ("epochs", "head_epochs", "expected"), [(1, 1, [1]), (2, 1, [1, 1]), (5, 2, [2, 3]), (3, 0, [3]), (2, 9, [1, 1])]
)
def test_at_least_one_epoch_goes_to_the_whole_network(epochs, head_epochs, expected):
    phases = plan_phases(epochs, head_epochs=head_epochs)
    assert [phase.epochs for phase in phases] == expected
    assert phases[-1].whole_network


def test_the_rate_rises_and_then_falls_to_zero_on_half_a_cosine():
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make_scheduler(optimiser, steps=20, warmup_fraction=0.2)
    rates = []
    for _ in range(20):
        rates.append(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()
    np.testing.assert_allclose(rates[:5], [0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[12] == pytest.approx(0.5)
    assert scheduler.get_last_lr()[0] == pytest.approx(0.0)


def test_head_and_rest_have_their_own_rates_and_biases_do_not_decay(tiny):
    groups = make_optimiser(tiny, FinetuneSettings(head_lr=0.5, backbone_lr=0.25, weight_decay=0.125)).param_groups
    assert {group["lr"] for group in groups[:2]} == {0.5}
    assert {group["lr"] for group in groups[2:4]} == {0.25}
    assert {(group["weight_decay"], p.ndim > 1) for group in groups for p in group["params"]} == {
        (0.0, False),
        (0.125, True),
    }
    assert sum(len(group["params"]) for group in groups) == len(list(tiny.module.parameters()))
