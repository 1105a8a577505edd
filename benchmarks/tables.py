"""Tables through the HTTP API against linear models and gradient boosting alone: same rows, same folds, same metric.

The four sets that come with scikit-learn, as CSV: uploaded, trained with a budget, results read, as any program would.
The others are fitted here on the very folds of the training, and on its held-out rows. A cross-validated score of ours
is that of what was chosen by it, and so a little flattered; the held-out rows were read once, after the choice. Parts
are kept: `--sets` and `--seeds` measure some, `--table` only puts together what was measured.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from backend.contracts.table import TableRecipe
from backend.tabular.fitting import LEAST
from backend.tabular.folds import Division, divide
from backend.tabular.preparing import Prepared, prepare
from backend.tabular.scoring import choose_metric, score
from backend.tabular.table_folder import load_table, store_table
from benchmarks import parts
from benchmarks.parts import Part
from benchmarks.service import running_service
from benchmarks.table import Goal, Line, lines_table, machine, markdown, mean, seconds

RESULTS = parts.results_file("tables")
SETS = ("breast_cancer", "wine", "digits", "diabetes")
SEEDS = (42, 43, 44)
BUDGET_S = 60.0
TARGET = "target"
OTHERS = ("linear alone", "boosting alone")
OURS = "Sightglass"
HEADERS = ("set", "seed", "metric", "side", "five folds", "held out", "time")


def as_csv(name: str) -> bytes:
    """One of scikit-learn's sets; classes by their names."""
    found = getattr(datasets, f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = found.data.copy()
    frame[TARGET] = found.target if name == "diabetes" else [str(found.target_names[code]) for code in found.target]
    return frame.to_csv(index=False).encode()


def ours(client: httpx2.Client, table_id: str, recipe: dict[str, Any]) -> dict[str, Any]:
    """The results of a training, and how long it took from the request on."""
    begun = time.perf_counter()
    answer = client.post("/api/tabular/train/start", params={"wait": 600}, json={"dataset_id": table_id, **recipe})
    answer.raise_for_status()
    if answer.status_code != 200:
        raise SystemExit(f"The training did not end: {answer.text}")
    return {**answer.json(), "took": time.perf_counter() - begun}


def alone(name: str, task: str, seed: int) -> Any:
    """A model as people use it by themselves: scaled linear, or boosting with its defaults."""
    if task == "classification":
        models: tuple[Any, Any] = LogisticRegression(max_iter=1000), HistGradientBoostingClassifier(random_state=seed)
    else:
        models = Ridge(), HistGradientBoostingRegressor(random_state=seed)
    return make_pipeline(StandardScaler(), models[0]) if name == OTHERS[0] else models[1]


def scores_of(build: Callable[[], Any], ready: Prepared, division: Division) -> tuple[float, float]:
    """The metric over the answers of all folds together, and on the held-out rows."""
    truth, metric = ready.truth, choose_metric(ready.truth)
    whole: np.ndarray[Any, Any] = np.zeros((len(ready.features), max(1, truth.classes)))
    for learn, answer in division.folds:
        whole[answer] = answers(build().fit(ready.features.iloc[learn], truth.targets[learn]), ready, answer)
    last = build().fit(ready.features.iloc[division.train], truth.targets[division.train])
    held_out = answers(last, ready, division.test)
    return tuple(  # type: ignore[return-value]
        score(metric, truth.at(rows), told if truth.classes else told[:, 0])
        for rows, told in ((division.train, whole[division.train]), (division.test, held_out))
    )


def answers(fitted: Any, ready: Prepared, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    features = ready.features.iloc[rows]
    if not ready.truth.classes:
        amounts: np.ndarray[Any, Any] = fitted.predict(features)[:, None]
        return amounts
    spread = np.full((len(rows), ready.truth.classes), LEAST)
    spread[:, fitted.classes_] = fitted.predict_proba(features)
    return spread


def divided(content: bytes, seed: int) -> tuple[Prepared, Division]:
    """The rows, columns and folds that a training with this seed has."""
    with tempfile.TemporaryDirectory() as place:
        path, folder = Path(place) / "table.csv", Path(place) / "table"
        path.write_bytes(content)
        store_table(path, folder, dataset_id="ds-benchmark", name="benchmark", max_mb=64)
        frame, info = load_table(folder)
    recipe = TableRecipe(dataset_id="ds-benchmark", target=TARGET, seed=seed)
    ready = prepare(frame, info, recipe)
    return ready, divide(ready.features, ready.truth, test_size=recipe.test_size, seed=seed)


def measure(client: httpx2.Client, name: str, seed: int, budget_s: float) -> list[Part]:
    """All sides on one set and one division.

    Raises:
        SystemExit: the service divided the rows otherwise than is assumed here.
    """
    content = as_csv(name)
    sent = client.post("/api/tabular/upload", files={"file": (f"{name}.csv", io.BytesIO(content))})
    if sent.status_code != 201:
        raise SystemExit(f"The upload was refused: {sent.text}")
    results = ours(client, sent.json()["dataset_id"], {"target": TARGET, "seed": seed, "time_budget_s": budget_s})
    ready, division = divided(content, seed)
    if (results["split"]["train"], results["split"]["test"]) != (len(division.train), len(division.test)):
        raise SystemExit(f"{name}: other rows than the service's; the comparison would mean nothing.")
    best = next(row for row in results["leaderboard"] if row["name"] == results["best_model"])
    common = {"set": name, "seed": seed, "metric": results["metric"], "budget_s": budget_s, "cores": machine()}
    own = {"folds": best["score"], "held_out": results["test"]["score"], "took": results["took"]}
    own["job"] = results["total_seconds"]  # without waiting for a worker that is still loading its libraries
    found = [parts.keep(RESULTS, {**common, "side": OURS, **own, "tried": f"{best['name']}: {best['tried']}"})]
    for other in OTHERS:
        begun = time.perf_counter()
        folds, held_out = scores_of(lambda: alone(other, results["task"], seed), ready, division)  # noqa: B023
        took = time.perf_counter() - begun
        found.append(parts.keep(RESULTS, {**common, "side": other, "folds": folds, "held_out": held_out, "took": took}))
    return found


def rows(found: Sequence[Part]) -> list[tuple[str, ...]]:
    return [
        (
            part["set"],
            str(part["seed"]),
            part["metric"],
            part["side"],
            f"{part['folds']:.4f}",
            f"{part['held_out']:.4f}",
            seconds(part["took"]),
        )
        for part in found
    ]


def lines(found: Sequence[Part]) -> list[Line]:
    """Ours against the better of the others, set by set, means over the seeds that all sides were measured with."""
    made: list[Line] = []
    for name in SETS:
        own = {part["seed"]: part for part in found if part["set"] == name and part["side"] == OURS}
        others = [
            {part["seed"]: part for part in found if part["set"] == name and part["side"] == other} for other in OTHERS
        ]
        shared = sorted(set(own).intersection(*others))
        if not shared:
            continue
        for rows_of, what, goal in (("folds", "five folds", Goal(least=0)), ("held_out", "held-out rows", None)):
            mine = mean([own[seed][rows_of] for seed in shared])
            theirs = max(mean([other[seed][rows_of] for seed in shared]) for other in others)
            words = f"{name}, {own[shared[0]]['metric']}, {what}"
            value = 100 * (mine - theirs)
            made.append(
                Line(what=words, other=f"{theirs:.4f}", ours=f"{mine:.4f}", value=value, goal=goal, unit="points")
            )
        longest = max(own[seed].get("job", own[seed]["took"]) for seed in shared)
        budget = max(own[seed]["budget_s"] for seed in shared)
        made.append(
            Line(
                what=f"{name}, longest job",
                other=seconds(budget),
                ours=seconds(longest),
                value=longest / budget,
                goal=Goal(most=1.0),
            )
        )
    return made


def report() -> list[Line]:
    found = parts.newest(parts.read(RESULTS), "set", "seed", "side")
    print(markdown(HEADERS, rows(found)))
    return lines(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--budget", type=float, default=BUDGET_S)
    parser.add_argument("--table", action="store_true", help="measure nothing, put together what was measured")
    chosen = parser.parse_args()
    if not chosen.table:
        with running_service() as client:
            for seed in chosen.seeds:
                for name in chosen.sets:
                    for part in measure(client, name, seed, chosen.budget):
                        print(*rows([part])[0], flush=True)
    print(machine())
    print()
    print(lines_table(report()))


if __name__ == "__main__":
    main()
