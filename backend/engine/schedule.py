"""Optimiser and learning rates of a fine-tune: AdamW, linear warm-up, cosine decay. It knows no data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from backend.contracts import FinetuneSettings
from backend.engine.network import Network


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of epochs with its own schedule: the head alone, or the whole network."""

    epochs: int
    whole_network: bool

    @property
    def name(self) -> str:
        return "whole network" if self.whole_network else "head"


def plan_phases(num_epochs: int, *, head_epochs: int) -> list[Phase]:
    """The head first, so that its random start does not shake good features; at least one epoch goes to the whole."""
    head = min(head_epochs, num_epochs - 1)
    return [phase for phase in (Phase(head, False), Phase(num_epochs - head, True)) if phase.epochs]


def freeze_below_head(network: Network, *, frozen: bool) -> None:
    """Let gradients reach the head alone, or every weight."""
    for parameter in network.module.parameters():
        parameter.requires_grad_(not frozen)
    for parameter in network.head.parameters():
        parameter.requires_grad_(True)


def make_optimiser(network: Network, settings: FinetuneSettings) -> torch.optim.Optimizer:
    """AdamW over what takes gradients now: head and rest by their own rates, no decay on biases and norms."""
    head = {id(parameter) for parameter in network.head.parameters()}
    rates = {True: settings.head_lr, False: settings.backbone_lr}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in network.module.parameters():
        if parameter.requires_grad:
            groups.setdefault((id(parameter) in head, parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": rates[of_head], "weight_decay": settings.weight_decay if decays else 0.0}
            for (of_head, decays), parameters in groups.items()
        ]
    )


def make_scheduler(
    optimiser: torch.optim.Optimizer, *, steps: int, warmup_fraction: float
) -> torch.optim.lr_scheduler.LambdaLR:
    """Rise linearly over the first share of the steps, then fall to zero on half a cosine (Loshchilov, Hutter 2017)."""
    warmup = int(steps * warmup_fraction)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
