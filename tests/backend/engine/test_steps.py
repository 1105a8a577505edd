import copy

import pytest
import torch
from torch import nn

from backend.contracts import FinetuneSettings, LossSettings
from backend.engine.losses import LossContext, make_loss
from backend.engine.schedule import make_optimiser, make_scheduler
from backend.engine.steps import Average, LossExplodedError, Stepper, make_mixing


def stepper(network, **changes):
    settings = FinetuneSettings(backbone_lr=1e-2, **changes.pop("settings", {}))
    optimiser = make_optimiser(network, settings)
    parts = {
        "network": network,
        "optimiser": optimiser,
        "scheduler": make_scheduler(optimiser, steps=10, warmup_fraction=0.0),
        "settings": settings,
        "mixing": make_mixing(settings, num_classes=3),
        "average": None,
        "loss": make_loss(LossSettings(), LossContext(task="multiclass", num_classes=3)),
    }
    return Stepper(**{**parts, **changes})


def batch(count=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, 64, 64, generator=generator), torch.arange(count) % 3


def test_the_average_lags_behind_the_weights():
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    average = Average(module, decay=0.9)
    seen = []
    for value in range(1, 40):
        nn.init.constant_(module.weight, float(value))
        average.follow(module)
        seen.append(average.module.weight.item())
    assert seen == sorted(seen)
    assert seen[0] == 1.0  # it begins where the first step ends, not where training began
    assert all(mean < value for value, mean in enumerate(seen[5:], start=6))
    assert 39 - seen[-1] == pytest.approx(9, abs=1)  # a decay of 0.9 lags 9 steps behind
    assert module.weight.item() == 39


def test_a_step_moves_the_average_too(tiny):
    average = Average(tiny.module, decay=0.5)
    own = stepper(tiny, average=average)
    for _ in range(3):
        own.step(*batch())
    assert not torch.equal(average.module.classifier.weight, tiny.module.classifier.weight)


@pytest.mark.parametrize(("settings", "kinds"), [({"mixup_alpha": 0.4}, 1), ({"cutmix_alpha": 1.0}, 1)])
def test_mixed_targets_sum_to_one_and_images_are_blends(settings, kinds):
    torch.manual_seed(3)
    mixing = make_mixing(FinetuneSettings(**settings), num_classes=3)
    inputs, targets = batch()
    mixed, wanted = mixing(inputs, targets)
    assert wanted.shape == (6, 3)
    torch.testing.assert_close(wanted.sum(dim=1), torch.ones(6))
    assert ((wanted > 0).sum(dim=1) == 2).all()
    assert not torch.equal(mixed, inputs)


def test_without_alphas_nothing_is_mixed_and_with_both_either_is():
    assert make_mixing(FinetuneSettings(), num_classes=3) is None
    mixing = make_mixing(FinetuneSettings(mixup_alpha=0.2, cutmix_alpha=1.0), num_classes=3)
    assert [type(one).__name__ for one in mixing.transforms] == ["MixUp", "CutMix"]


def test_a_step_learns_from_mixed_targets(tiny):
    seen = []
    cross_entropy = make_loss(LossSettings(), LossContext(task="multiclass", num_classes=3))

    def spy(scores, targets):
        seen.append(targets)
        return cross_entropy(scores, targets)

    own = stepper(tiny, settings={"mixup_alpha": 1.0}, loss=spy)
    own.step(*batch())
    own.step(*batch(1))  # one image alone has nothing to be mixed with
    assert seen[0].shape == (6, 3)
    assert seen[1].shape == (1,)


def test_a_loss_that_is_no_number_changes_nothing(tiny):
    with torch.no_grad():
        tiny.module.classifier.bias.fill_(float("nan"))
    before = copy.deepcopy(tiny.module.state_dict())
    with pytest.raises(LossExplodedError):
        stepper(tiny).step(*batch())
    assert torch.equal(before["conv_stem.weight"], tiny.module.conv_stem.weight)


def test_the_rate_moves_with_every_step(tiny):
    own = stepper(tiny)
    rates = []
    for _ in range(3):
        own.step(*batch())
        rates.append(own.scheduler.get_last_lr()[0])
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 3


def stepped(network, parts, *, accumulate):
    """Weights after one epoch over a batch of 6 that comes in equal parts."""
    twin = copy.deepcopy(network)
    twin.module.eval()  # statistics of a batch would differ by its size
    descent = torch.optim.SGD(twin.module.parameters(), lr=0.1)  # moves by the gradient itself
    schedule = make_scheduler(descent, steps=10, warmup_fraction=0.0)
    own = stepper(twin, accumulate=accumulate, optimiser=descent, scheduler=schedule)
    images, targets = batch()
    for part in range(parts):
        own.step(images[part::parts], targets[part::parts])
    own.end_epoch()
    return twin.module.state_dict(), own.scheduler.last_epoch


def test_gradients_that_are_added_up_move_the_weights_as_one_large_batch_does(tiny):
    whole, steps = stepped(tiny, 1, accumulate=1)
    parts, same_steps = stepped(tiny, 3, accumulate=3)
    short, _ = stepped(tiny, 3, accumulate=8)  # the epoch ends before the step is full
    assert steps == same_steps == 1
    before = tiny.module.state_dict()["classifier.weight"]
    assert not torch.equal(whole["classifier.weight"], before)
    moved = (whole["classifier.weight"] - before).norm()
    for other in (parts, short):  # bfloat16 rounds each part by itself
        assert (other["classifier.weight"] - whole["classifier.weight"]).norm() < 0.02 * moved


def test_the_weights_wait_for_the_last_part(tiny):
    before = copy.deepcopy(tiny.module.state_dict())
    own = stepper(tiny, accumulate=2)
    tiny.module.eval()
    own.step(*batch(2))
    assert torch.equal(tiny.module.state_dict()["classifier.weight"], before["classifier.weight"])
    own.step(*batch(2))
    assert not torch.equal(tiny.module.state_dict()["classifier.weight"], before["classifier.weight"])
