"""How many foreign pictures a trained model calls unfamiliar, and how many of its own test images.

`python -m benchmarks.unfamiliar` trains on CIFAR-10's 600 images of three classes, as the service does, and shows the
model its own test images, those of Fashion-MNIST, and DeepPCB's boards; then pictures that are none, and its own test
images spoilt. `--own fashion_mnist.zip` turns it round; `--network default` leaves the choice of network to a default
run. `--methods` holds other ways of telling them against the product's, on the same features and seeds, each with the
threshold that 97% of the validation images are within.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from backend.execution.native import prepare_native_libraries

prepare_native_libraries()  # as the service's own processes do, before torch is loaded

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from backend.config import Settings
from backend.contracts import Dataset, Recipe
from backend.data import open_dataset, prepare_image, stratified_split
from backend.data.pictures import open_picture
from backend.engine.arithmetic import set_threads
from backend.engine.bundle import Bundle, load_bundle
from backend.engine.features import extract_features
from backend.inference.familiarity import assess_many, compare_many
from backend.search.compare import Run, compare
from benchmarks import parts
from benchmarks.parts import Part
from benchmarks.splits import find_data
from benchmarks.table import machine, markdown, mean, percent
from benchmarks.unfamiliar_methods import METHODS, Learned, area

RESULTS = parts.results_file("unfamiliar")
SETS = ("cifar3.zip", "fashion_mnist.zip", "pcb_multilabel.zip")
LEAST_FLAGGED, MOST_FALSE = 0.80, 0.05
TEST_SIZE = 0.2
OWN = "own test images"

Pictures = Sequence[Image.Image]
Floats = npt.NDArray[np.floating]


def spoilt(pictures: Pictures) -> dict[str, Pictures]:
    """What is none of a model's pictures, or hardly one any more."""
    rgb = [picture.convert("RGB") for picture in pictures]
    width, height = rgb[0].size
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (len(rgb), height, width, 3), dtype=np.uint8)
    colours = [tuple(random.integers(0, 256, 3).tolist()) for _ in rgb]
    return {
        "noise": [Image.fromarray(pixels) for pixels in noise],
        "one colour": [Image.new("RGB", (width, height), colour) for colour in colours],
        "on its side": [picture.transpose(Image.Transpose.ROTATE_90) for picture in rgb],
        "inverted": [ImageOps.invert(picture) for picture in rgb],
        "mirrored": [picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for picture in rgb],
    }


def measure(own: str, *, network: str, preset: str, seed: int, methods: bool) -> Part:
    """Train once, and ask."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), offline=True, mlflow_tracking_uri="off")
        set_threads(settings.torch_threads)
        datasets = {name: open_dataset(find_data(name), settings=settings) for name in SETS}
        models = None if network == "default" else (network,)
        recipe = Recipe(
            dataset_id=datasets[own].info.dataset_id, models=models, preset=preset, test_size=TEST_SIZE, seed=seed
        )
        found = compare(datasets[own], recipe, run=Run(settings=settings))
        bundle = load_bundle(found.folder, settings=settings)
        pictures = {name: _pictures(dataset) for name, dataset in datasets.items()}
        features = {name: _features(bundle, shown) for name, shown in pictures.items()}
        split = stratified_split(datasets[own], test_size=TEST_SIZE, seed=seed)
        features |= {
            name: _features(bundle, shown) for name, shown in spoilt([pictures[own][i] for i in split.test]).items()
        }
    every = features.pop(own)
    asked = {OWN: every[list(split.test)], **features}
    part: Part = {"own": own, "network": network, "preset": preset, "seed": seed, "winner": bundle.info.name}
    part |= {"strategy": bundle.info.strategy, "accuracy": bundle.info.accuracy, **_asked(bundle, asked)}
    if methods:
        targets = np.asarray(datasets[own].targets)
        part["methods"] = _methods(bundle, every, targets, asked, places=(split.train, split.val))
    return parts.keep(RESULTS, part)


def _asked(bundle: Bundle, asked: Mapping[str, Floats]) -> Part:
    reference = bundle.reference
    if reference is None:
        raise ValueError("a trained model has a reference")
    found = {name: assess_many(reference, rows) for name, rows in asked.items()}
    own = found[OWN].scores
    return {
        "flagged": {name: float(one.unfamiliar.mean()) for name, one in found.items()},
        "auroc": {name: area(own, one.scores) for name, one in found.items() if name != OWN},
        "ms_alone": _milliseconds(lambda: compare_many(reference, asked[OWN][:1], 3), 1),
        "ms_in_32": _milliseconds(lambda: compare_many(reference, asked[OWN][:32], 3), min(32, len(asked[OWN]))),
        "known": len(reference.image_ids),
        "measured_on": reference.measured_on,
    }


def _milliseconds(work: object, images: int, *, repeats: int = 50) -> float:
    """The median of several calls, for one image."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()  # type: ignore[operator]
        taken.append(time.perf_counter() - started)
    return 1000 * float(np.median(taken)) / images


def _methods(
    bundle: Bundle,
    every: Floats,
    targets: npt.NDArray[np.integer],
    asked: Mapping[str, Floats],
    *,
    places: tuple[Sequence[int], Sequence[int]],
) -> dict[str, dict[str, list[float]]]:
    """For each way of telling: share flagged and area, of every set."""
    train, val = (list(part) for part in places)
    weight = bundle.network.head.weight.detach().numpy()
    bias = bundle.network.head.bias.detach().numpy()
    learned = Learned(features=every[train], targets=targets[train], head=lambda rows: rows @ weight.T + bias)
    table = {}
    for name, method in METHODS.items():
        score = method(learned)
        limit = np.quantile(score(every[val]), 0.97, method="higher")
        own = score(asked[OWN])
        table[name] = {
            kind: [float((score(rows) > limit).mean()), area(own, score(rows))] for kind, rows in asked.items()
        }
    return table


def _pictures(dataset: Dataset) -> Pictures:
    return [open_picture(dataset.root, item.path, max_pixels=10**8) for item in dataset.items]


def _features(bundle: Bundle, pictures: Pictures) -> Floats:
    how = bundle.info.preprocessing
    prepared = np.stack([prepare_image(picture, how) for picture in pictures])
    return extract_features(bundle.network, prepared, preprocessing=how)


def rows(found: Sequence[Part]) -> list[tuple[str, ...]]:
    """One line a set and way of training, means over the seeds."""
    lines = []
    keys = dict.fromkeys((part["own"], part["network"], part["preset"]) for part in found)
    for own, network, preset in keys:
        runs = [part for part in found if (part["own"], part["network"], part["preset"]) == (own, network, preset)]
        what = f"{own}, {network}, {preset} ({len(runs)} seeds: {', '.join(sorted({run['winner'] for run in runs}))})"
        for name in runs[0]["flagged"]:
            shares = [run["flagged"][name] for run in runs]
            areas = [run["auroc"][name] for run in runs if name in run["auroc"]]
            goal = ""
            if name == OWN:
                goal = "met" if mean(shares) <= MOST_FALSE else "missed"
            elif name in SETS:
                goal = "met" if min(shares) >= LEAST_FLAGGED else "missed"
            spread = f"{percent(min(shares))} - {percent(max(shares))}"
            lines.append((what, name, percent(mean(shares)), spread, f"{mean(areas):.3f}" if areas else "", goal))
        lines.append((what, "ms an image: alone, in 32", *_times(runs), "", ""))
    return lines


def _times(runs: Sequence[Part]) -> tuple[str, str]:
    return f"{mean([run['ms_alone'] for run in runs]):.2f}", f"{mean([run['ms_in_32'] for run in runs]):.2f}"


def method_rows(found: Sequence[Part]) -> list[tuple[str, ...]]:
    """One line a method, share flagged and area of every set, means over the seeds of each own set."""
    lines = []
    for own in dict.fromkeys(part["own"] for part in found if "methods" in part):
        runs = [part["methods"] for part in found if part["own"] == own and "methods" in part]
        for name in runs[0]:
            cells = []
            for kind in runs[0][name]:
                flagged, areas = (mean([run[name][kind][number] for run in runs]) for number in (0, 1))
                cells.append(f"{percent(flagged)} / {areas:.2f}")
            lines.append((own, name, *cells))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--own", default=SETS[0], choices=SETS[:2], help="what is trained on")
    parser.add_argument("--network", default="efficientnet_lite0", help="a network, or default")
    parser.add_argument("--preset", default="fast", choices=("fast", "balanced"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44])
    parser.add_argument("--methods", action="store_true", help="other ways of telling them, too")
    parser.add_argument("--table", action="store_true", help="measure nothing, put together what was measured")
    chosen = parser.parse_args()
    for seed in () if chosen.table else chosen.seeds:
        measure(chosen.own, network=chosen.network, preset=chosen.preset, seed=seed, methods=chosen.methods)
    found = parts.newest(parts.read(RESULTS), "own", "network", "preset", "seed")
    print(machine())
    print(markdown(("trained on", "asked", "unfamiliar", "least - most", "AUROC", "goal"), rows(found)))
    methods = method_rows(found)
    if methods:
        kinds = next(part for part in found if "methods" in part)["flagged"]
        print(markdown(("trained on", "method: flagged / AUROC", *kinds), methods))


if __name__ == "__main__":
    main()
