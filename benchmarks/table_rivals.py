"""LightGBM, XGBoost and FLAML on scikit-learn's four tables: the rows, folds and metric of `benchmarks/tables.py`.

They run in an environment of their own, one thread each, and only answer; every answer is scored here. Of LightGBM and
XGBoost there are two sides each: the defaults, and the best by folds of four settings, whose score of folds flatters as
ours does. FLAML has the seconds that ours had, and its own processor seconds stand beside: a busy machine gives fewer.
Ours and scikit-learn's models alone are those that `benchmarks.tables` measured. A side that was measured is not
measured again; `--table` only puts together what there is.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.tabular.folds import Division
from backend.tabular.preparing import Prepared
from backend.tabular.scoring import choose_metric, score
from benchmarks import parts, tables
from benchmarks.environments import environment, python_of
from benchmarks.parts import ROOT, Part
from benchmarks.table import machine, markdown, mean, number

RESULTS = parts.results_file("table_rivals")
SCRIPT = ROOT / "benchmarks" / "competitors" / "run_tables.py"
RIVALS = ("lightgbm", "xgboost", "flaml")
SIDES = (tables.OURS, *tables.OTHERS, "lightgbm", "lightgbm, best of 4", "xgboost", "xgboost, best of 4", "flaml")
HEADERS = ("set", "side", "seeds", "five folds", "held out", "from ours", "processor seconds")


Told = Mapping[str, np.ndarray[Any, Any]]


def write_table(path: Path, ready: Prepared, division: Division, *, seed: int) -> None:
    """What `competitors/run_tables.py` reads: numbers alone, so that no side has columns to encode."""
    fold = np.full(len(ready.features), -1)
    for place, (_, asked) in enumerate(division.folds):
        fold[asked] = place
    np.savez(
        path,
        features=ready.features.to_numpy(dtype=float),
        targets=ready.truth.targets,
        train=division.train,
        test=division.test,
        fold=fold[division.train],
        classes=np.array(ready.truth.classes),
        seed=np.array(seed),
    )


def ask(rival: str, divisions: Mapping[int, tuple[Prepared, Division]], *, budget_s: float) -> dict[int, Told]:
    """By seed, a rival's answers to every row, one set of them for each of its settings; one process for all seeds.

    Raises:
        SystemExit: it failed; its last words are the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = {seed: Path(folder) / f"{seed}.npz" for seed in divisions}
        for seed, (ready, division) in divisions.items():
            write_table(paths[seed], ready, division, seed=seed)
        options = ["--rival", rival, "--budget", str(budget_s)]
        command = [str(word) for word in (python_of("tables"), SCRIPT, *paths.values(), *options)]
        variables = environment(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{rival} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        found: dict[int, Told] = {}
        for seed, path in paths.items():
            with np.load(path.with_suffix(".answers.npz"), allow_pickle=False) as file:
                found[seed] = {name: file[name] for name in file.files}
    return found


def scored(ready: Prepared, division: Division, told: np.ndarray[Any, Any]) -> tuple[float, float]:
    """The metric over the answers of all folds together, and on the held-out rows."""
    metric, answers = choose_metric(ready.truth), told if ready.truth.classes else told[:, 0]
    folds, held_out = (score(metric, ready.truth.at(rows), answers[rows]) for rows in (division.train, division.test))
    return folds, held_out


def measure(name: str, rival: str, seeds: Sequence[int], *, budget_s: float) -> list[Part]:
    """A set divided by some seeds: kept, and returned."""
    divisions = {seed: tables.divided(tables.as_csv(name), seed) for seed in seeds}
    told = ask(rival, divisions, budget_s=budget_s)
    made: list[Part] = []
    for seed, (ready, division) in divisions.items():
        common = {"set": name, "seed": seed, "metric": choose_metric(ready.truth), "cores": machine()}
        if rival == "flaml":
            common["budget_s"] = budget_s
        scores = [scored(ready, division, answers) for answers in told[seed]["answers"]]
        made += [parts.keep(RESULTS, {**common, **side}) for side in sides_of(rival, scores, told[seed])]
    return made


def sides_of(rival: str, scores: Sequence[tuple[float, float]], told: Told) -> list[Part]:
    """The defaults, which are the first setting, and the best by folds; FLAML has chosen already and is one side."""
    chosen = {rival: (0, told["computed"][0])}
    if len(scores) > 1:
        best = max(range(len(scores)), key=lambda place: scores[place][0])
        chosen[f"{rival}, best of {len(scores)}"] = (best, told["computed"].sum())
    return [
        {
            "side": side,
            "folds": scores[place][0],
            "held_out": scores[place][1],
            "computed": float(computed),
            "model": str(told["models"][place]),
        }
        for side, (place, computed) in chosen.items()
    ]


def rows(found: Sequence[Part]) -> list[tuple[str, ...]]:
    """Means over the seeds of each side; `from ours` is in points on the seeds that both have: folds, held-out rows."""
    made: list[tuple[str, ...]] = []
    for name in tables.SETS:
        own = of(found, name, tables.OURS)
        for side in SIDES:
            theirs = of(found, name, side)
            if not theirs:
                continue
            runs, shared = list(theirs.values()), sorted(set(own) & set(theirs))
            computed = [run["computed"] for run in runs if "computed" in run]
            made.append(
                (
                    f"{name}, {runs[0]['metric']}",
                    side,
                    ", ".join(str(seed) for seed in sorted(theirs)),
                    *(f"{mean([run[what] for run in runs]):.4f}" for what in ("folds", "held_out")),
                    "" if side == tables.OURS or not shared else _from_ours(own, theirs, shared),
                    number(mean(computed)) if computed else "",
                )
            )
    return made


def _from_ours(own: Mapping[int, Part], theirs: Mapping[int, Part], seeds: Sequence[int]) -> str:
    gaps = [100 * mean([theirs[seed][what] - own[seed][what] for seed in seeds]) for what in ("folds", "held_out")]
    return ", ".join(f"{gap:+.2f}" for gap in gaps)


def of(found: Sequence[Part], name: str, side: str) -> dict[int, Part]:
    """By seed."""
    return {part["seed"]: part for part in found if part["set"] == name and part["side"] == side}


def everything() -> list[Part]:
    """The rivals' parts and those of `benchmarks.tables`, the newest of each."""
    return parts.newest([*parts.read(tables.RESULTS), *parts.read(RESULTS)], "set", "seed", "side")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=tables.SETS, choices=tables.SETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=tables.SEEDS)
    parser.add_argument("--rivals", nargs="+", default=RIVALS, choices=RIVALS)
    parser.add_argument("--budget", type=float, default=tables.BUDGET_S, help="seconds of FLAML's search")
    parser.add_argument("--table", action="store_true", help="measure nothing, put together what was measured")
    chosen = parser.parse_args()
    for rival, name in itertools.product(chosen.rivals, chosen.sets):
        seeds = [seed for seed in chosen.seeds if seed not in of(parts.read(RESULTS), name, rival)]
        if seeds and not chosen.table:
            for part in measure(name, rival, seeds, budget_s=chosen.budget):
                print(*(part[key] for key in ("set", "seed", "side", "folds", "held_out")), flush=True)
    print(machine())
    print(markdown(HEADERS, rows(everything())))


if __name__ == "__main__":
    main()
