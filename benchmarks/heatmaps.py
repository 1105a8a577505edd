"""Whether a heat map's deletion test tells a map that explains from one that does not, and what it costs.

`python -m benchmarks.heatmaps` trains EfficientNet-Lite0's head on CIFAR-10's 600 images of three classes, as the
service does, and puts three maps of each of some test images to the test: the network's own; the one drawn for an
image of another class; and the one of a network with random weights, put to that network. The first should pass, the
others should not. Then the milliseconds of a map with and without its test.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from backend.execution.native import prepare_native_libraries

prepare_native_libraries()  # as the service's own processes do, before torch is loaded

import numpy as np
import timm
import torch
from PIL import Image

from backend.config import Settings
from backend.contracts import Recipe
from backend.data import open_dataset, stratified_split
from backend.data.images import placement
from backend.data.pictures import open_picture
from backend.engine.arithmetic import set_threads
from backend.engine.bundle import Bundle, load_bundle
from backend.inference.deletion import Marked, deletion_test
from backend.inference.explainers import explained, heatmap
from backend.inference.predictor import Predictor
from backend.search.compare import Run, compare
from benchmarks import parts
from benchmarks.parts import Part
from benchmarks.splits import find_data
from benchmarks.table import machine, markdown, mean, percent

RESULTS = parts.results_file("heatmaps")
NETWORK = "efficientnet_lite0"
KINDS = ("own", "of another image", "of random weights")


def measure(data: str, *, images: int, seed: int) -> Part:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), offline=True, mlflow_tracking_uri="off")
        set_threads(settings.torch_threads)
        dataset = open_dataset(find_data(data), settings=settings)
        recipe = Recipe(dataset_id=dataset.info.dataset_id, models=(NETWORK,), preset="fast", seed=seed)
        bundle = load_bundle(compare(dataset, recipe, run=Run(settings=settings)).folder, settings=settings)
        split = stratified_split(dataset, test_size=recipe.test_size, seed=seed)
        chosen = np.random.default_rng(seed).permutation(list(split.test))[:images]
        pictures = [open_picture(dataset.root, dataset.items[i].path, max_pixels=10**8) for i in chosen]
    return parts.keep(RESULTS, {"data": data, "seed": seed, "images": len(pictures), **_tested(bundle, pictures)})


def _tested(bundle: Bundle, pictures: Sequence[Image.Image]) -> Part:
    predictor = Predictor(bundle)
    labels = [prediction.predictions[0].label for prediction in predictor.predict(pictures, top_k=1)]
    untrained = _untrained(bundle)
    verdicts: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for place, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        verdicts["own"].append(explained(bundle, picture, label).evidence.verdict)
        others = [other for other, theirs in enumerate(labels) if theirs != label]
        if others:
            other = others[place % len(others)]
            verdicts["of another image"].append(_borrowed(predictor, picture, label, pictures[other], labels[other]))
        verdicts["of random weights"].append(explained(untrained, picture).evidence.verdict)
    passed = {kind: mean([float(one == "evidence") for one in found]) for kind, found in verdicts.items()}
    sample = [(picture, label) for picture, label in zip(pictures, labels, strict=True)][:8]
    return {"passed": passed, "ms": _milliseconds(bundle, sample)}


def _borrowed(predictor: Predictor, picture: Image.Image, label: str, other: Image.Image, theirs: str) -> str:
    """The verdict on a picture's answer by the map of another picture, for that one's own class."""
    bundle, how = predictor.bundle, predictor.info.preprocessing
    drawn = Image.fromarray(heatmap(bundle, other, theirs)).resize((how.width, how.height), Image.Resampling.BILINEAR)
    marked = Marked(
        heat=np.asarray(drawn, dtype=np.float32),
        target=bundle.info.class_names.index(label),
        label=label,
        frame=placement(picture.size, how),
    )
    return deletion_test(bundle.network, predictor.prepare([picture]), marked, task=bundle.info.task).verdict


def _untrained(bundle: Bundle) -> Bundle:
    """The same architecture with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        module = timm.create_model(bundle.network.spec.timm_name, num_classes=len(bundle.info.class_names)).eval()
    return replace(bundle, network=replace(bundle.network, module=module), members=())


def _milliseconds(bundle: Bundle, sample: Sequence[tuple[Image.Image, str]]) -> dict[str, float]:
    """Medians: a map alone, and a map with its test."""
    taken: dict[str, list[float]] = {"map": [], "map and test": []}
    for picture, label in sample:
        for name, draw in (("map", heatmap), ("map and test", explained)):
            started = time.perf_counter()
            draw(bundle, picture, label)
            taken[name].append(1000 * (time.perf_counter() - started))
    return {name: float(np.median(found)) for name, found in taken.items()}


def rows(found: Sequence[Part]) -> list[tuple[str, ...]]:
    """One line a set: how many maps of each kind pass, means over the seeds, and the milliseconds."""
    lines = []
    for data in dict.fromkeys(part["data"] for part in found):
        runs = [part for part in found if part["data"] == data]
        shares = [percent(mean([run["passed"][kind] for run in runs])) for kind in KINDS]
        times = [f"{mean([run['ms'][name] for run in runs]):.0f} ms" for name in ("map", "map and test")]
        lines.append((f"{data}, {sum(run['images'] for run in runs)} images", *shares, *times))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="cifar3.zip", help="name of a ZIP of class folders")
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--seeds", nargs="+", type=int, default=[42])
    parser.add_argument("--table", action="store_true", help="measure nothing, put together what was measured")
    chosen = parser.parse_args()
    for seed in () if chosen.table else chosen.seeds:
        measure(chosen.data, images=chosen.images, seed=seed)
    print(machine())
    print(
        markdown(
            ("maps that pass", *KINDS, "a map", "with its test"),
            rows(parts.newest(parts.read(RESULTS), "data", "seed")),
        )
    )


if __name__ == "__main__":
    main()
