"""The frozen forward pass: images a second for each network and each way of computing it, and whether they agree.

Agreement is of answers: a linear head is fitted on the float32 features of every second picture, and read with the
features of each way for all of them; the goal is 99.5% the same answers. It is set for networks with ImageNet weights:
on features of random weights a head is undecided about many pictures, and any rounding turns some. The base is plain
torch in float32; the way that the product takes on this machine is marked. ViT-Base gets every third picture: it is
that slow in float32.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from backend.execution.native import prepare_native_libraries

prepare_native_libraries()  # as the service's own processes do, before torch is loaded

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from backend.config import Settings
from backend.contracts import Preprocessing
from backend.engine.arithmetic import set_threads
from backend.engine.forward import FrozenForward, TorchForward, planned_kind
from backend.engine.forward.openvino_forward import OpenVinoForward, graph_of
from backend.engine.forward.protocol import Features, Pixels
from backend.engine.models import find_spec
from backend.engine.network import Network, create_network
from benchmarks import parts
from benchmarks.parts import Part
from benchmarks.splits import divide, find_data
from benchmarks.table import Goal, Line, lines_table, machine, markdown, number, percent

RESULTS = parts.results_file("forward")
NETWORKS = ("mobilenetv3_large", "resnet18", "efficientnet_b0", "efficientnet_lite0", "vit_base")
BASE = "torch fp32"
BATCH_SIZE = 32
AGREEMENT = 99.5
STRIDES = {"vit_base": 3}

WAYS: dict[str, Callable[[Network, Preprocessing], FrozenForward]] = {
    BASE: lambda network, preprocessing: TorchForward(network, preprocessing, arithmetic="fp32"),
    "torch bf16": lambda network, preprocessing: TorchForward(network, preprocessing, arithmetic="bf16"),
    "OpenVINO fp32": lambda network, preprocessing: OpenVinoForward(
        graph_of(network, preprocessing), arithmetic="fp32"
    ),
    "OpenVINO bf16": lambda network, preprocessing: OpenVinoForward(
        graph_of(network, preprocessing), arithmetic="bf16"
    ),
}


def measure(name: str, pixels: Pixels, targets: Sequence[int]) -> list[Part]:
    """Every way of one network over the same pictures, uint8 [N, 224, 224, 3]."""
    network = create_network(find_spec(name), num_classes=2, settings=Settings(offline=True), seed=42)
    size = network.input_size
    preprocessing = Preprocessing(height=size, width=size, mean=network.mean, std=network.std)
    pixels, targets = pixels[:: STRIDES.get(name, 1)], targets[:: STRIDES.get(name, 1)]
    base: Features | None = None
    found, planned = [], planned_kind(network.spec, 100_000)
    for way, build in WAYS.items():
        started = time.perf_counter()
        forward = build(network, preprocessing)
        forward(pixels[:BATCH_SIZE])
        ready = time.perf_counter() - started
        features, took = timed(forward, pixels)
        base = features if base is None else base
        same = agreement(base, features, targets)
        part = {"network": name, "way": way, "kind": forward.kind, "rate": len(pixels) / took, "ready": ready}
        part |= {
            "agreement": same,
            "images": len(pixels),
            "chosen": forward.kind == planned,
            "weights": network.weights,
        }
        found.append(parts.keep(RESULTS, part))
    return found


def timed(forward: FrozenForward, pixels: Pixels) -> tuple[Features, float]:
    started = time.perf_counter()
    rows = [forward(pixels[start : start + BATCH_SIZE]) for start in range(0, len(pixels), BATCH_SIZE)]
    return np.concatenate(rows), time.perf_counter() - started


def agreement(base: Features, other: Features, targets: Sequence[int]) -> float:
    """Share of pictures that get the same answer from a head fitted on half of `base` [N, D]."""
    labels = np.asarray(targets)
    scaler = StandardScaler().fit(base[::2])
    head = LogisticRegression(C=0.01, max_iter=1000).fit(scaler.transform(base[::2]), labels[::2])
    answers = (head.predict(scaler.transform(features)) for features in (base, other))
    return float(np.mean(next(answers) == next(answers)))


def read_pictures(archive: Path, *, side: int = 224) -> tuple[Pixels, list[int]]:
    with tempfile.TemporaryDirectory() as folder:
        divide(archive, Path(folder), test_size=0.5, seed=42)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        pictures = [np.asarray(Image.open(file).convert("RGB").resize((side, side))) for file in files]
        labels = sorted({file.parent.name for file in files})
        return np.stack(pictures), [labels.index(file.parent.name) for file in files]


def rows(found: Sequence[Part]) -> list[tuple[str, ...]]:
    return [
        (
            part["network"],
            part["weights"],
            part["kind"] + " *" * part["chosen"],
            number(part["rate"]),
            f"{part['ready']:.1f} s",
            percent(part["agreement"]),
        )
        for part in found
    ]


HEADERS = ("network", "weights", "way (* the one taken)", "images a second", "ready after", "answers as in fp32")


def lines(found: Sequence[Part]) -> list[Line]:
    """For each network the way that is taken, by plain float32."""
    made = []
    for network in dict.fromkeys(part["network"] for part in found):
        ways = [part for part in found if part["network"] == network]
        base = next(part for part in ways if part["way"] == BASE)
        best = next((part for part in ways if part["chosen"]), base)
        other, own = (f"{number(part['rate'])} images/s" for part in (base, best))
        own = f"{own}, {best['kind']}"
        made.append(Line(what=f"{network}: frozen forward", other=other, ours=own, value=best["rate"] / base["rate"]))
    trained = (part["agreement"] for part in found if part["chosen"] and part["weights"] == "imagenet")
    least = min(trained, default=None)
    if least is not None:
        value, goal = 100 * least, Goal(least=AGREEMENT)
        made.append(
            Line(what="answers as in fp32, ImageNet weights", other="", ours="", value=value, goal=goal, unit="%")
        )
    return made


def report() -> list[Line]:
    return lines(parts.newest(parts.read(RESULTS), "network", "way"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="fashion_mnist.zip")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--table", action="store_true", help="measure nothing, put together what was measured")
    chosen = parser.parse_args()
    if not chosen.table:
        set_threads(Settings().torch_threads)
        pixels, targets = read_pictures(find_data(chosen.data))
        for name in chosen.networks:
            measure(name, pixels, targets)
    print(machine())
    print(markdown(HEADERS, rows(parts.newest(parts.read(RESULTS), "network", "way"))))
    print()
    print(lines_table(report()))


if __name__ == "__main__":
    main()
