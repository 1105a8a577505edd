"""A training step on noise."""

import math

import torch

from backend.engine.try_step import STEPS, TriedStep, try_step


def test_a_step_makes_the_loss_smaller_and_leaves_the_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    tried = try_step()
    assert torch.equal(torch.rand(3), expected)
    assert tried.sound
    assert len(tried.losses) == STEPS
    assert tried.losses[-1] < tried.losses[0]
    assert tried.seconds > 0


def test_a_loss_that_is_no_number_is_not_sound():
    assert not TriedStep(losses=(1.0, math.nan), seconds=1.0, device="cpu").sound
