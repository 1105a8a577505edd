"""A training step on noise: whether this machine can train at all, by the libraries and the loss of the product.

It needs no data, no weights and no network connection, and keeps nothing.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import timm
import torch

from backend.contracts import LossSettings
from backend.engine.arithmetic import choose_device
from backend.engine.losses import LossContext, make_loss

NETWORK = "mobilenetv3_small_050"  # 1.6 million weights: the smallest of timm's that is built of the usual layers
PICTURES, CLASSES, SIDE, STEPS = 8, 4, 64, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedStep:
    """What the steps gave: losses in nats before each, seconds for all, and where they were computed."""

    losses: tuple[float, ...]
    seconds: float
    device: str

    @property
    def sound(self) -> bool:
        return all(math.isfinite(loss) for loss in self.losses)


def try_step() -> TriedStep:
    """Two steps, forward and backward, on eight random pictures of 64 x 64.

    Raises:
        RuntimeError: the device or a library fails.
    """
    device = choose_device()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model(NETWORK, pretrained=False, num_classes=CLASSES).to(device).train()
        pictures = torch.rand(PICTURES, 3, SIDE, SIDE, device=device)
        targets = torch.arange(PICTURES, device=device) % CLASSES
        loss_of = make_loss(LossSettings(), LossContext(task="multiclass", num_classes=CLASSES))
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
        losses = []
        started = time.perf_counter()
        for _ in range(STEPS):
            loss = loss_of(network(pictures), targets)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.item())
    return TriedStep(losses=tuple(losses), seconds=time.perf_counter() - started, device=device.type)
