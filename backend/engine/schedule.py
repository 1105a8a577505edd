"""Optimiser and learning rates of a fine-tune: AdamW, lower stages slower, warm-up, cosine decay. It knows no data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from timm.models import group_parameters
from torch import nn

from backend.contracts import FinetuneSettings
from backend.engine.cbam import Cbam
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


def freeze_below_head(network: Network, *, frozen: bool, but_attention: bool = False) -> None:
    """Let gradients reach the head alone, with `but_attention` what CBAM has added too, or every weight."""
    for parameter in network.module.parameters():
        parameter.requires_grad_(not frozen)
    attention = [part for part in network.module.modules() if but_attention and isinstance(part, Cbam)]
    for part in (network.head, *attention):
        for parameter in part.parameters():
            parameter.requires_grad_(True)


def set_training_mode(network: Network, *, follow: bool) -> None:
    """Train mode, but pretrained BatchNorm statistics stay: small batches would only blur them.

    Where they are to `follow` the pictures, those of frozen layers still stay.
    """
    network.module.train()
    if network.weights == "scratch":
        return
    for part in network.module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - the common base of all BatchNorms
            learns = part.weight is not None and part.weight.requires_grad
            part.train(follow and learns)


def count_trainable(network: Network) -> int:
    """Weights that gradients reach now."""
    return sum(parameter.numel() for parameter in network.module.parameters() if parameter.requires_grad)


def thaw(network: Network, *, share: float) -> None:
    """Let gradients reach the head and this share (0..1) of the stages below it, the last ones first.

    Gradual unfreezing (Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text Classification").
    """
    depths = stage_depths(network)
    deepest = max(depths.values(), default=0)
    for name, parameter in network.module.named_parameters():
        parameter.requires_grad_(depths[name] <= math.ceil(share * deepest))


def stage_depths(network: Network) -> dict[str, int]:
    """How many stages below the head each parameter lies, 0 for the head's own, by timm's account of the stages."""
    module = network.module
    head = {id(parameter) for parameter in network.head.parameters()}
    names = [name for name, _ in module.named_parameters()]
    matcher = getattr(module, "group_matcher", None)
    if matcher is None:
        return {name: int(id(parameter) not in head) for name, parameter in module.named_parameters()}
    stages: dict[str, int] = group_parameters(module, matcher(coarse=True), reverse=True)
    below = [stages[name] for name, parameter in module.named_parameters() if id(parameter) not in head]
    # numbered without gaps: a network cut in two has lost its first stages, a head may share its number with a norm
    order = {stage: depth for depth, stage in enumerate(sorted(set(below), reverse=True), start=1)}
    depths = dict.fromkeys(names, 0)
    for name, parameter in module.named_parameters():
        if id(parameter) not in head:
            depths[name] = order[stages[name]]
    return depths


def make_optimiser(network: Network, settings: FinetuneSettings) -> torch.optim.Optimizer:
    """AdamW over every weight: the head by its own rate, each stage below slower than the one above it.

    No decay on biases and norms. What takes no gradient now is left as it is, and may be thawed later.
    """
    depths = stage_depths(network)
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in network.module.named_parameters():
        groups.setdefault((depths[name], parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": settings.backbone_lr * settings.layer_decay ** (depth - 1) if depth else settings.head_lr,
                "weight_decay": settings.weight_decay if decays else 0.0,
            }
            for (depth, decays), parameters in sorted(groups.items(), key=lambda group: group[0])
        ],
        fused=True,  # one pass over the weights instead of six
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
