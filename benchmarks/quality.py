"""Quality per second with the same ImageNet weights on every side: ours, fastai's `fine_tune`, AutoGluon.

EfficientNet-Lite0, half of each set's images to train and half to test, the same files to all, whole processes from
import to predictions on the test images. Ours is `sightglass train` with one network and MLflow off, as the others
keep no such record. fastai at its own batch size takes one step an epoch where a set has 100 training images; runs
with batches of 16 stand beside, so that nobody takes that for a defeat. Parts are kept: `--seeds`, `--data` and
`--sides` measure some, `--table` only puts together what was measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import parts
from benchmarks.environments import environment, python_of
from benchmarks.parts import ROOT, Part
from benchmarks.splits import Folders, divide, find_data
from benchmarks.table import Goal, Line, lines_table, machine, markdown, mean, percent, seconds
from benchmarks.weights_file import NETWORK, write_weights

RESULTS = parts.results_file("quality")
DATA = ("cifar3.zip", "fashion_mnist.zip")
SEEDS = (42, 43, 44)
TEST_SIZE = 0.5
TIME_LIMIT_S = 120
COMPETITORS = ROOT / "benchmarks" / "competitors"
IMPORTS = {"fastai": "import fastai.vision.all", "autogluon": "import autogluon.multimodal"}
FASTAI = ("fastai 1+2", "fastai 1+4")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One set, divided by one seed. `scratch` is a new folder for each side's files."""

    archive: Path
    folders: Folders
    seed: int
    scratch: Path

    @property
    def out(self) -> Path:
        return self.scratch / "answer.json"


def ours(preset: str) -> Callable[[Task], list[object]]:
    def command(task: Task) -> list[object]:
        program = Path(sys.executable).with_name("sightglass")
        options = {"--models": NETWORK, "--preset": preset, "--test-size": TEST_SIZE, "--seed": task.seed}
        words = [word for pair in options.items() for word in pair]
        return [program, "train", task.archive, *words, "--out", task.scratch / "run", "--json"]

    return command


def competitor(name: str, **options: object) -> Callable[[Task], list[object]]:
    def command(task: Task) -> list[object]:
        words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", value)]
        script = COMPETITORS / f"run_{name}.py"
        common = ["--weights", write_weights(), "--seed", task.seed, "--out", task.out]
        return [python_of(name), script, task.folders.train, task.folders.test, *common, *words]

    return command


SIDES: dict[str, Callable[[Task], list[object]]] = {
    "fast": ours("fast"),
    "balanced": ours("balanced"),
    "fastai 1+2": competitor("fastai", epochs=2),
    "fastai 1+4": competitor("fastai", epochs=4),
    "fastai 1+4, batch 16": competitor("fastai", epochs=4, batch_size=16),
    "autogluon": competitor("autogluon", time_limit=TIME_LIMIT_S),
}
OURS = ("fast", "balanced")
HEADERS = ("data, half to test", "side", "seeds", "whole process", "accuracy", "from, to", "kept")


def warm_up(sides: Sequence[str]) -> None:
    """Load each library once before any clock starts: modules are compiled and in memory, as on a machine in use."""
    for name in dict.fromkeys("sightglass" if side in OURS else side.split()[0] for side in sides):
        python = sys.executable if name == "sightglass" else python_of(name)
        text = IMPORTS.get(name, "import backend.search.compare")
        subprocess.run([python, "-c", text], cwd=ROOT, env=environment(), capture_output=True, check=True)


def measure(data: str, side: str, seed: int) -> Part:
    """Run one side as a process of its own; its seconds are from start to exit."""
    with tempfile.TemporaryDirectory() as folder:
        scratch, archive = Path(folder), find_data(data)
        folders = divide(archive, scratch / "split", test_size=TEST_SIZE, seed=seed)
        task = Task(archive=archive, folders=folders, seed=seed, scratch=scratch)
        command = [str(word) for word in SIDES[side](task)]  # weights and environments are made here, before the clock
        variables = environment(SIGHTGLASS_DATA_DIR=str(scratch / "data"), SIGHTGLASS_MLFLOW_TRACKING_URI="off")
        started, computed = time.perf_counter(), processor_seconds()
        done = subprocess.run(command, cwd=scratch, env=variables, capture_output=True, text=True, check=False)
        took = {"seconds": time.perf_counter() - started, "processor_seconds": processor_seconds() - computed}
        if done.returncode:
            raise SystemExit(f"{side} on {data}, seed {seed}, ended with {done.returncode}:\n{done.stderr[-3000:]}")
        answer = ours_answer(done.stdout) if side in OURS else json.loads(task.out.read_text(encoding="utf-8"))
    return parts.keep(RESULTS, {"data": data, "side": side, "seed": seed, **took, **answer})


def processor_seconds() -> float:
    """Of all ended children: far below seconds x cores means that something else had the machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ours_answer(printed: str) -> Part:
    """What counts of the results that the command line prints; `kept` says whether the probe or the fine-tune won."""
    results = json.loads(printed)
    return {"accuracy": results["best_model"]["accuracy"], "kept": results["best_model"]["strategy"]}


def rows(found: Sequence[Part]) -> list[tuple[str, ...]]:
    """One row for each set and side that was measured, means over the seeds."""
    table: list[tuple[str, ...]] = []
    for data in DATA:
        for side in SIDES:
            runs = of(found, data, side)
            if runs:
                accuracies = [run["accuracy"] for run in runs]
                spread = f"{percent(min(accuracies))} to {percent(max(accuracies))}"
                took = seconds(mean([run["seconds"] for run in runs]))
                table.append((data, side, str(len(runs)), took, percent(mean(accuracies)), spread, kept(runs)))
    return table


def kept(runs: Sequence[Part]) -> str:
    """What won in each of our runs, `2 probe, 1 finetune`; nothing for the others."""
    won = Counter(run["kept"] for run in runs if "kept" in run)
    return ", ".join(f"{count} {strategy}" for strategy, count in won.most_common())


def of(found: Sequence[Part], data: str, side: str) -> list[Part]:
    return [part for part in found if part["data"] == data and part["side"] == side]


def lines(found: Sequence[Part]) -> list[Line]:
    """Ours against each other side, on the seeds that both have."""
    made: list[Line] = []
    for data in DATA:
        fastai = [side for side in FASTAI if of(found, data, side)]
        if of(found, data, "fast") and fastai:
            better = max(fastai, key=lambda side: mean([run["accuracy"] for run in of(found, data, side)]))
            made += [points(found, data, (better, "fast"), Goal(least=5)), times(found, data, (better, "fast"))]
        made += [
            points(found, data, pair, None)
            for pair in (("fastai 1+4, batch 16", "fast"), ("autogluon", "fast"), ("autogluon", "balanced"))
            if all(of(found, data, side) for side in pair)
        ]
    gains = [points(found, data, OURS, None) for data in DATA if all(of(found, data, side) for side in OURS)]
    if gains:
        gain = mean([line.value for line in gains])
        average = Line(
            what="balanced over fast, mean", other="", ours="", value=gain, goal=Goal(least=2), unit="points"
        )
        made += [*gains, average]
    return made


def points(found: Sequence[Part], data: str, pair: tuple[str, str], goal: Goal | None) -> Line:
    other, own = (mean([run["accuracy"] for run in runs]) for runs in paired(found, data, pair))
    what = f"{data}: {pair[1]} against {pair[0]}, accuracy"
    value = 100 * (own - other)
    return Line(what=what, other=percent(other), ours=percent(own), value=value, goal=goal, unit="points")


def times(found: Sequence[Part], data: str, pair: tuple[str, str]) -> Line:
    other, own = (mean([run["seconds"] for run in runs]) for runs in paired(found, data, pair))
    what = f"{data}: {pair[1]} against {pair[0]}, whole process"
    return Line(what=what, other=seconds(other), ours=seconds(own), value=other / own, goal=Goal(least=10))


def paired(found: Sequence[Part], data: str, pair: tuple[str, str]) -> tuple[list[Part], list[Part]]:
    """Runs of two sides on the seeds that both were measured with."""
    first, second = (of(found, data, side) for side in pair)
    shared = {run["seed"] for run in first} & {run["seed"] for run in second}
    return [run for run in first if run["seed"] in shared], [run for run in second if run["seed"] in shared]


def report() -> None:
    found = parts.newest(parts.read(RESULTS), "data", "side", "seed")
    print(machine())
    print(markdown(HEADERS, rows(found)))
    print()
    print(lines_table(lines(found)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=DATA)
    parser.add_argument("--sides", nargs="+", default=tuple(SIDES), choices=SIDES)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--table", action="store_true", help="measure nothing, put together what was measured")
    chosen = parser.parse_args()
    if not chosen.table:
        warm_up(chosen.sides)
        for seed in chosen.seeds:
            for data in chosen.data:
                for side in chosen.sides:
                    part = measure(data, side, seed)
                    print(f"{data} {side} {seed}: {part['seconds']:.1f} s, {percent(part['accuracy'])}", flush=True)
    report()


if __name__ == "__main__":
    main()
