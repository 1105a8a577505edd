"""The headline job of the system that we replace: four networks, 200 pictures, 2 epochs, batches of 16.

Three sides in one run: a tutorial's float32 fine-tune of each network; ours, the real service with a warm worker and
an empty data folder, from the upload's request to the results; the bare bfloat16 forward passes of the four. Offline
all networks start from scratch on every side. Also: how soon the first network's row is there, and the same job again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import parts
from benchmarks.environments import environment
from benchmarks.parts import ROOT, Part
from benchmarks.service import running_service, train, upload, warm_up
from benchmarks.splits import divide, find_data
from benchmarks.table import Goal, Line, lines_table, machine, mean, percent, seconds

RESULTS = parts.results_file("headline")
NETWORKS = {  # ours: timm's
    "mobilenetv3_large": "mobilenetv3_large_100",
    "resnet18": "resnet18",
    "efficientnet_b0": "efficientnet_b0",
    "vit_base": "vit_base_patch16_224",
}
EPOCHS, BATCH_SIZE, TEST_SIZE = 2, 16, 0.2
SIDES = ("ours", "bare", "tutorial")


def measure_tutorial(archive: Path, seed: int) -> Part:
    with tempfile.TemporaryDirectory() as folder:
        folders = divide(archive, Path(folder), test_size=TEST_SIZE, seed=seed)
        numbers = ["--epochs", EPOCHS, "--batch-size", BATCH_SIZE, "--seed", seed]
        networks = run_module("benchmarks.tutorial", folders.train, folders.test, *numbers)
    return {
        "seconds": sum(network["seconds"] for network in networks),
        "accuracy": max(network["accuracy"] for network in networks),
        "networks": networks,
    }


def measure_bare(archive: Path, seed: int) -> Part:
    with tempfile.TemporaryDirectory() as folder:
        divide(archive, Path(folder), test_size=TEST_SIZE, seed=seed)
        networks = run_module("benchmarks.bare", folder)
    return {"seconds": sum(network["seconds"] for network in networks), "networks": networks}


def run_module(name: str, *words: object) -> list[Part]:
    """Run a side in a process of its own for the four networks; it prints one JSON object each."""
    models = [word for timm_name in NETWORKS.values() for word in ("--model", timm_name)]
    command = [sys.executable, "-m", name, *(str(word) for word in words), *models]
    done = subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def measure_ours(archive: Path, seed: int) -> Part:
    with running_service() as client:
        warm_up(client)
        started = time.perf_counter()
        recipe = {
            "dataset_id": upload(client, archive),
            "models": list(NETWORKS),
            "num_epochs": EPOCHS,
            "batch_size": BATCH_SIZE,
            "test_size": TEST_SIZE,
            "seed": seed,
        }
        first = train(client, recipe)
        took = time.perf_counter() - started
        second = train(client, recipe)
    rows = [row for row in first.results["leaderboard"] if row["name"] in NETWORKS]
    return {
        "seconds": took,
        "accuracy": first.results["best_model"]["accuracy"],
        "first_row": first.first_row,
        "first_run": first.total,
        "second_run": second.total,
        "networks": [{key: row[key] for key in ("name", "status", "accuracy", "train_seconds")} for row in rows],
    }


MEASURES = {"ours": measure_ours, "bare": measure_bare, "tutorial": measure_tutorial}


def lines(found: Sequence[Part]) -> list[Line]:
    """Means over the seeds; a side that was not measured leaves its lines out."""
    sides = {side: [part for part in found if part["side"] == side] for side in SIDES}
    if not sides["ours"]:
        return []
    own = {key: mean([part[key] for part in sides["ours"]]) for key in sides["ours"][0] if key in NUMBERS}
    made = []
    if sides["tutorial"]:
        slow = mean([part["seconds"] for part in sides["tutorial"]])
        score = mean([part["accuracy"] for part in sides["tutorial"]])
        times = {"other": seconds(slow), "ours": seconds(own["seconds"])}
        made.append(
            Line(what="four networks, against a fine-tune", **times, value=slow / own["seconds"], goal=Goal(least=8))
        )
        scores = {"other": percent(score), "ours": percent(own["accuracy"]), "unit": "points"}
        made.append(
            Line(what="accuracy of the best", **scores, value=100 * (own["accuracy"] - score), goal=Goal(least=0))
        )
    if sides["bare"]:
        bare = mean([part["seconds"] for part in sides["bare"]])
        times = {"other": seconds(bare), "ours": seconds(own["seconds"])}
        made.append(Line(what="by the bare forward passes", **times, value=own["seconds"] / bare, goal=Goal(most=1.5)))
    first = own["first_row"]
    made.append(
        Line(
            what="first row of the leaderboard", other="", ours=seconds(first), value=first, goal=Goal(most=5), unit="s"
        )
    )
    twice = {"other": seconds(own["first_run"]), "ours": seconds(own["second_run"])}
    again = own["first_run"] / own["second_run"]
    return [*made, Line(what="the same again, by the first run", **twice, value=again, goal=Goal(least=10))]


NUMBERS = {"seconds", "accuracy", "first_row", "first_run", "second_run"}


def report() -> list[Line]:
    return lines(parts.newest(parts.read(RESULTS), "side", "data", "seed"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="fashion_mnist.zip")
    parser.add_argument("--seeds", nargs="+", type=int, default=[42])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--table", action="store_true", help="measure nothing, put together what was measured")
    chosen = parser.parse_args()
    if not chosen.table:
        archive = find_data(chosen.data)
        for seed in chosen.seeds:
            for side in chosen.sides:
                part = MEASURES[side](archive, seed)
                parts.keep(RESULTS, {"side": side, "data": archive.name, "seed": seed, **part})
                print(f"{side} {seed}: {part}", flush=True)
    print(machine())
    print(lines_table(report()))


if __name__ == "__main__":
    main()
