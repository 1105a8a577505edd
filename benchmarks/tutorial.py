"""The other side: a fine-tune as a tutorial would write it, in plain float32, knowing nothing of Sightglass.

Every image is decoded in every epoch, all layers are trained with AdamW at one rate, no schedule, the last epoch is
taken, the test images are read once. As a process: `python -m benchmarks.tutorial TRAIN TEST --model resnet18`
prints one JSON object a network; imports are not counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import timm
import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

LEARNING_RATE = 3e-4


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one side needed and reached. `accuracy` is on the test images."""

    seconds: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A fine-tune of one network of timm. `weights`: a state dict with timm's names; None: from scratch."""

    model: str
    epochs: int = 2
    batch_size: int = 16
    seed: int = 42
    weights: Path | None = None


def fine_tune(train: Path, test: Path, *, plan: Plan) -> Side:
    started = time.perf_counter()
    torch.manual_seed(plan.seed)
    config = timm.get_pretrained_cfg(plan.model)
    preparation = transforms.Compose(
        [transforms.Resize(config.input_size[1:]), transforms.ToTensor(), transforms.Normalize(config.mean, config.std)]
    )
    pictures = ImageFolder(train, preparation)
    module = create(plan, classes=len(pictures.classes))
    batches = DataLoader(pictures, batch_size=plan.batch_size, shuffle=True, drop_last=True)
    optimiser = torch.optim.AdamW(module.parameters(), lr=LEARNING_RATE)
    for _ in range(plan.epochs):
        train_epoch(module, batches, optimiser)
    accuracy = measure(module, DataLoader(ImageFolder(test, preparation), batch_size=plan.batch_size))
    return Side(accuracy=accuracy, seconds=time.perf_counter() - started)


def create(plan: Plan, *, classes: int) -> nn.Module:
    """Weights are loaded with the ImageNet head on, then the head is replaced."""
    if plan.weights is None:
        return timm.create_model(plan.model, num_classes=classes).to(device())
    module = timm.create_model(plan.model)
    module.load_state_dict(torch.load(plan.weights, weights_only=True))
    module.reset_classifier(classes)
    return module.to(device())


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train_epoch(
    module: nn.Module, batches: DataLoader[tuple[torch.Tensor, torch.Tensor]], optimiser: torch.optim.Optimizer
) -> None:
    module.train()
    for pixels, targets in batches:
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(pixels.to(device())), targets.to(device())).backward()
        optimiser.step()


def measure(module: nn.Module, batches: DataLoader[tuple[torch.Tensor, torch.Tensor]]) -> float:
    module.eval()
    right = total = 0
    with torch.no_grad():
        for pixels, targets in batches:
            right += int((module(pixels.to(device())).argmax(1).cpu() == targets).sum())
            total += len(targets)
    return right / total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--model", action="append", required=True, help="timm's name; may be given again")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=42)
    chosen = parser.parse_args()
    for model in chosen.model:
        plan = Plan(model=model, epochs=chosen.epochs, batch_size=chosen.batch_size, seed=chosen.seed)
        side = fine_tune(chosen.train, chosen.test, plan=plan)
        sys.stdout.write(json.dumps({"model": model, **asdict(side)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
