"""One training step: mixed images, scores, loss, gradients, weights, and their moving average. It counts no epochs."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch
from timm.utils import ModelEmaV3
from torch import nn
from torchvision.transforms import v2

from backend.contracts import FinetuneSettings
from backend.engine.arithmetic import autocast
from backend.engine.depthwise import QuickDepthwise
from backend.engine.losses import Loss
from backend.engine.network import Network

GRADIENT_NORM = 5.0  # longer gradients are cut: one odd batch must not undo an epoch


class LossExplodedError(Exception):
    """The loss is no number any more."""


@dataclass(slots=True, kw_only=True)
class Stepper:
    """Takes the steps of one phase.

    Attributes:
        mixing: blends the images of a batch and their targets, or None.
        average: a moving average of the weights, which lags behind them, or None.
        loss: from scores [N, C] and targets to what is made smaller.
        accumulate: batches whose gradients are added up before a step.
    """

    network: Network
    optimiser: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LambdaLR
    settings: FinetuneSettings
    mixing: v2.Transform | None
    average: Average | None
    loss: Loss
    accumulate: int = 1
    _pending: int = field(default=0, init=False)

    def step(self, inputs: torch.Tensor, targets: torch.Tensor) -> float:
        """Learn from one batch; the loss before, in nats. The weights move with every `accumulate`-th batch.

        Raises:
            LossExplodedError: the loss is no number any more; the weights are as before.
        """
        network = self.network
        wanted = targets
        if self.mixing is not None and len(targets) > 1:
            inputs, wanted = self.mixing(inputs, targets)
        with ExitStack() as stack:
            stack.enter_context(autocast(network.device))
            if network.device.type == "cpu":
                stack.enter_context(QuickDepthwise())
            scores = network.module(inputs)
        loss = self.loss(scores, wanted)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise LossExplodedError
        if not self._pending:
            self.optimiser.zero_grad(set_to_none=True)
        (loss / self.accumulate).backward()  # type: ignore[no-untyped-call]
        self._pending += 1
        if self._pending == self.accumulate:
            self._move()
        return value

    def end_epoch(self) -> None:
        """Step with what the last batches left over, weighed as a whole step is."""
        if not self._pending:
            return
        for parameter in self.network.module.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(self.accumulate / self._pending)
        self._move()

    def _move(self) -> None:
        nn.utils.clip_grad_norm_(self.network.module.parameters(), GRADIENT_NORM)
        self.optimiser.step()
        self.scheduler.step()
        self._pending = 0
        if self.average is not None:
            self.average.follow(self.network.module)


class Average:
    """An exponential moving average of weights (timm's). Its memory grows with the steps, up to the decay asked for.

    A fine-tune of a hundred steps would otherwise still average in its start: at a fixed decay of 0.999 that keeps 90%.
    """

    def __init__(self, module: nn.Module, *, decay: float) -> None:
        self._average = ModelEmaV3(module, decay=decay, use_warmup=True)
        self.steps = 0

    @property
    def module(self) -> nn.Module:
        averaged: nn.Module = self._average.module
        return averaged

    def follow(self, module: nn.Module) -> None:
        self.steps += 1
        self._average.update(module, step=self.steps)


def make_mixing(settings: FinetuneSettings, *, num_classes: int) -> v2.Transform | None:
    """Mixup and cutmix as asked for, torchvision's; both: one of them for each batch.

    Zhang et al. 2018, "mixup"; Yun et al. 2019, "CutMix". They draw from torch's global random state.
    """
    kinds: list[v2.Transform] = []
    if settings.mixup_alpha:
        kinds.append(v2.MixUp(alpha=settings.mixup_alpha, num_classes=num_classes))
    if settings.cutmix_alpha:
        kinds.append(v2.CutMix(alpha=settings.cutmix_alpha, num_classes=num_classes))
    return v2.RandomChoice(kinds) if kinds else None
