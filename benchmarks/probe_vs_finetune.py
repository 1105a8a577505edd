"""What a tutorial's fine-tune and our default comparison make of the same network, images and split, in one run.

The tutorial's side (`benchmarks/tutorial.py`): every image decoded in every epoch, float32, all layers, the last epoch
taken. Ours: `compare` as the service calls it, from the dataset's folder to the saved bundle. Both learn from the same
images, and read the same test images once. What a process pays once (imports, the first pass through the network) is
paid before either clock starts, and the sides take turns in going first. Ratio: the tutorial's seconds by ours.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from backend.execution.native import prepare_native_libraries

prepare_native_libraries()  # as the service's own processes do, before torch is loaded

import torch

from backend.config import Settings
from backend.contracts import Dataset, Recipe
from backend.data import open_dataset, stratified_split
from backend.engine.arithmetic import choose_device, set_threads
from backend.engine.models import find_spec
from backend.engine.network import create_network
from backend.search.compare import Run, compare
from benchmarks import parts
from benchmarks.parts import Part
from benchmarks.splits import find_data, write_split
from benchmarks.table import Line, lines_table, machine, mean, percent, seconds
from benchmarks.tutorial import Plan, Side, fine_tune
from benchmarks.weights_file import NETWORK, WITH_HEAD, write_weights

RESULTS = parts.results_file("probe_vs_finetune")
TEST_SIZE = 0.2


def tutorial(dataset: Dataset, *, epochs: int, seed: int) -> Side:
    """Fine-tune on train and validation images, then read the test images; the files are laid out before."""
    plan = Plan(model="tf_efficientnet_lite0", epochs=epochs, seed=seed, weights=write_weights() / WITH_HEAD)
    with tempfile.TemporaryDirectory() as folder:
        folders = write_split(dataset, stratified_split(dataset, test_size=TEST_SIZE, seed=seed), Path(folder))
        return fine_tune(folders.train, folders.test, plan=plan)


def ours(dataset: Dataset, *, seed: int, settings: Settings) -> Side:
    """The default comparison of one network, bundle included."""
    started = time.perf_counter()
    recipe = Recipe(dataset_id=dataset.info.dataset_id, models=(NETWORK,), test_size=TEST_SIZE, seed=seed)
    results = compare(dataset, recipe, run=Run(settings=settings)).results
    return Side(accuracy=results.best_model.accuracy, seconds=time.perf_counter() - started)


def warm_up(settings: Settings) -> None:
    """What a process pays once: the solver's import, reading the weights' file, a first pass there and back."""
    importlib.import_module("sklearn.linear_model")
    write_weights()
    network = create_network(find_spec(NETWORK), num_classes=2, settings=settings, seed=0)
    pixels = torch.zeros(2, 3, network.input_size, network.input_size)
    network.module(pixels.to(choose_device())).sum().backward()


def measure(archive: Path, *, epochs: int, seed: int) -> Part:
    """Both sides on one split. Ours decodes the images anew, from a data folder of its own, as the other does."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), offline=True, mlflow_tracking_uri="off")
        set_threads(settings.torch_threads)
        dataset = open_dataset(archive, settings=settings)
        warm_up(settings)
        sides: dict[str, Side] = {}
        for name in sorted(("ours", "tutorial"), reverse=bool(seed % 2)):
            tutorials = name == "tutorial"
            sides[name] = (
                tutorial(dataset, epochs=epochs, seed=seed)
                if tutorials
                else ours(dataset, seed=seed, settings=settings)
            )
    part = {"data": archive.name, "seed": seed, "epochs": epochs}
    return parts.keep(RESULTS, {**part, **{name: asdict(side) for name, side in sides.items()}})


def lines(found: Sequence[Part]) -> list[Line]:
    """Seconds and accuracy for each set, means over the seeds."""
    made = []
    for data in dict.fromkeys(part["data"] for part in found):
        runs = [part for part in found if part["data"] == data]
        (slow, low), (fast, high) = (_means(runs, side) for side in ("tutorial", "ours"))
        epochs, sides = runs[0]["epochs"], {"other": seconds(slow), "ours": seconds(fast)}
        made.append(Line(what=f"{data}: one network, against {epochs} epochs", **sides, value=slow / fast))
        sides = {"other": percent(low), "ours": percent(high)}
        made.append(Line(what=f"{data}: accuracy", **sides, value=100 * (high - low), unit="points"))
    return made


def _means(runs: Sequence[Part], side: str) -> tuple[float, float]:
    return mean([run[side]["seconds"] for run in runs]), mean([run[side]["accuracy"] for run in runs])


def report() -> list[Line]:
    return lines(parts.newest(parts.read(RESULTS), "data", "seed", "epochs"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="fashion_mnist.zip", help="name of a ZIP of class folders")
    parser.add_argument("--epochs", type=int, default=5, help="of the tutorial's side")
    parser.add_argument("--seeds", nargs="+", type=int, default=[42])
    parser.add_argument("--table", action="store_true", help="measure nothing, put together what was measured")
    chosen = parser.parse_args()
    for seed in () if chosen.table else chosen.seeds:
        measure(find_data(chosen.data), epochs=chosen.epochs, seed=seed)
    print(machine())
    print(lines_table(report()))


if __name__ == "__main__":
    main()
