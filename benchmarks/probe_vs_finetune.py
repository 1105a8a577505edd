"""What a tutorial's fine-tune and our default comparison make of the same network, images and split, in one run.

The tutorial's side: every image decoded in every epoch, float32, all layers trained with AdamW at 3e-4, no schedule,
the last epoch taken. Ours: `compare` as the service calls it, from the dataset's folder to the saved bundle. Both learn
from the same images, and read the same test images once. What a process pays once (imports, the first pass through the
network) is paid before either clock starts, and the sides take turns in going first. Ratio: the tutorial's seconds by
ours; above 1 is ours faster.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.execution.native import prepare_native_libraries

prepare_native_libraries()  # as the service's own processes do, before torch is loaded

import torch
from torch import nn
from torch.utils.data import DataLoader

from backend.config import Settings
from backend.contracts import Dataset, Recipe
from backend.data import open_dataset, open_image, stratified_split
from backend.engine.arithmetic import choose_device, set_threads
from backend.engine.models import find_spec
from backend.engine.network import Network, create_network
from backend.search.compare import Run, compare

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data" / "fashion_mnist.zip"
BUNDLED = ROOT / "sample_datasets" / "digits.zip"
LEARNING_RATE = 3e-4
BATCH_SIZE = 16


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one side needed and reached. `accuracy` is on the test images."""

    seconds: float
    accuracy: float


class Pictures(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """As in a tutorial: open, stretch, normalise, each time that an image is asked for."""

    def __init__(self, dataset: Dataset, places: tuple[int, ...], network: Network) -> None:
        self.dataset, self.places, self.network = dataset, places, network

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from torchvision.transforms.v2 import functional

        place = self.places[index]
        picture = open_image(self.dataset.root / self.dataset.items[place].path, max_pixels=10**8)
        size = [self.network.input_size] * 2
        pixels = functional.pil_to_tensor(functional.resize(picture, size)).float() / 255
        return functional.normalize(pixels, self.network.mean, self.network.std), self.dataset.targets[place]


def tutorial(dataset: Dataset, *, model: str, epochs: int, seed: int, settings: Settings) -> Side:
    """Fine-tune on train and validation images, then read the test images."""
    started = time.perf_counter()
    torch.manual_seed(seed)
    split = stratified_split(dataset, test_size=0.2, seed=seed)
    network = create_network(find_spec(model), num_classes=len(dataset.class_names), settings=settings, seed=seed)
    training = Pictures(dataset, split.train + split.val, network)
    batches = DataLoader(training, batch_size=BATCH_SIZE, shuffle=True, drop_last=True)
    optimiser = torch.optim.AdamW(network.module.parameters(), lr=LEARNING_RATE)
    for _ in range(epochs):
        train_epoch(network.module, batches, optimiser)
    testing = DataLoader(Pictures(dataset, split.test, network), batch_size=BATCH_SIZE)
    return Side(accuracy=measure(network.module, testing), seconds=time.perf_counter() - started)


def train_epoch(module: nn.Module, batches: Any, optimiser: torch.optim.Optimizer) -> None:
    module.train()
    device = choose_device()
    for pixels, targets in batches:
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(pixels.to(device)), targets.to(device)).backward()
        optimiser.step()


def measure(module: nn.Module, batches: Any) -> float:
    module.eval()
    device, right, total = choose_device(), 0, 0
    with torch.inference_mode():
        for pixels, targets in batches:
            right += int((module(pixels.to(device)).argmax(1).cpu() == targets).sum())
            total += len(targets)
    return right / total


def ours(dataset: Dataset, *, model: str, seed: int, settings: Settings) -> Side:
    """The default comparison of one network, bundle included."""
    started = time.perf_counter()
    recipe = Recipe(dataset_id=dataset.info.dataset_id, models=(model,), seed=seed)
    results = compare(dataset, recipe, run=Run(settings=settings)).results
    return Side(accuracy=results.best_model.accuracy, seconds=time.perf_counter() - started)


def warm_up(dataset: Dataset, *, model: str, settings: Settings) -> None:
    """What a process pays once: the solver's import, reading the weights' file, a first pass there and back."""
    importlib.import_module("sklearn.linear_model")
    network = create_network(find_spec(model), num_classes=2, settings=settings, seed=0)
    pixels, _ = Pictures(dataset, (0,), network)[0]
    network.module(torch.stack([pixels] * 2).to(choose_device())).sum().backward()


def report(name: str, sides: list[Side]) -> tuple[float, float]:
    """Print a line; returns mean seconds and mean accuracy."""
    seconds = sum(side.seconds for side in sides) / len(sides)
    accuracy = sum(side.accuracy for side in sides) / len(sides)
    print(f"{name:<34} {seconds:8.1f} s   accuracy {100 * accuracy:5.1f}%")
    return seconds, accuracy


def run(name: str, dataset: Dataset, *, chosen: argparse.Namespace, seed: int, settings: Settings) -> Side:
    if name == "ours":
        return ours(dataset, model=chosen.model, seed=seed, settings=settings)
    return tutorial(dataset, model=chosen.model, epochs=chosen.epochs, seed=seed, settings=settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=REAL if REAL.exists() else BUNDLED, help="ZIP of class folders")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--epochs", type=int, default=5, help="of the tutorial's side")
    parser.add_argument("--seeds", type=int, default=2, help="how many; 42 and the ones after it")
    chosen = parser.parse_args()
    sides: dict[str, list[Side]] = {"tutorial": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(42, 42 + chosen.seeds):
            # A data folder for each seed: our side decodes the images anew, as the other does.
            settings = Settings(data_dir=Path(folder) / str(seed), mlflow_tracking_uri="off")
            set_threads(settings.torch_threads)
            dataset = open_dataset(chosen.data, settings=settings)
            if not sides["ours"]:
                warm_up(dataset, model=chosen.model, settings=settings)
            for name in sorted(sides, reverse=bool(seed % 2)):
                sides[name].append(run(name, dataset, chosen=chosen, seed=seed, settings=settings))
    print(f"{chosen.data.name}, {chosen.model}, {chosen.seeds} seed(s), {torch.get_num_threads()} threads")
    slow, low = report(f"tutorial fine-tune, {chosen.epochs} epochs", sides["tutorial"])
    fast, high = report("sightglass, defaults", sides["ours"])
    print(f"ratio: {slow / fast:.2f} times the speed, accuracy {100 * (high - low):+.1f} points")


if __name__ == "__main__":
    main()
