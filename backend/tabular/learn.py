"""From a table and a recipe to a saved model and its results: the stages of a training on a table, top to bottom."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from backend.contracts import Deadline, Progress, RunControl
from backend.contracts.table import TableInfo, TableModelInfo, TableRecipe, TableResults, TargetLeak
from backend.storage.files import atomic_directory
from backend.tabular.compare import Task, compare, quick_score
from backend.tabular.features import feature_names
from backend.tabular.fitting import Learner
from backend.tabular.folds import divide
from backend.tabular.leaks import find_leaks
from backend.tabular.looking import dependences, importances
from backend.tabular.models import BASELINE, MODELS
from backend.tabular.preparing import Prepared, prepare
from backend.tabular.report import Found, build_results
from backend.tabular.scoring import choose_metric
from backend.tabular.winner import choose, fit_winner

RESULTS_FILE = "results.json"
# Of the budget: what finding leaks and comparing may take together, and what the look into the model may.
COMPARING, LOOKING = 0.8, 0.15
LEAST_LOOKING_S = 1.0
QUICK = ("linear", "boosting")


@dataclass(frozen=True)
class TableRun:
    """Names and places of one training. `folder` must not exist yet."""

    job_id: str
    model_id: str
    folder: Path
    threads: int = 1


def learn(
    frame: pd.DataFrame, info: TableInfo, recipe: TableRecipe, *, run: TableRun, control: RunControl
) -> tuple[TableResults, TableModelInfo]:
    """Compare models, save the best one in `run.folder`, and return everything there is to say, and the model's record.

    Raises:
        RecipeError, TableError: what was asked does not fit the table.
        JobCancelled: somebody asked to stop; nothing was written.
    """
    begun = time.monotonic()
    check_models(recipe.models)
    control.report(Progress(stage="preparing", message="Reading the columns", progress=0.0))
    ready = prepare(frame, info, recipe)
    division = divide(ready.features, ready.truth, test_size=recipe.test_size, seed=recipe.seed)
    metric = choose_metric(ready.truth)
    task = Task(ready.features, ready.truth, division, metric, class_names=ready.target.class_names)
    control.deadline = Deadline(COMPARING * recipe.time_budget_s)
    learned = ready.features.iloc[division.train], ready.truth.at(division.train)
    leaks = find_leaks(*learned, ready.columns, seed=recipe.seed, control=control)
    learner = _learner(ready, recipe, run)
    told = _with_the_score_without(leaks, ready, task, learner=learner, control=control)
    entries = compare(task, recipe.models or MODELS.names(), learner=learner, control=control)
    winner, ensemble = choose(entries, task, ensemble=recipe.ensemble)

    control.report(Progress(stage="finishing", message=f"Fitting: {winner.title.lower()}", progress=0.92))
    model = fit_winner(winner, task, ready.columns, info=info, recipe=recipe, model_id=run.model_id)
    control.report(Progress(stage="looking in", message="Finding out what the answers rest on", progress=0.95))
    control.deadline = Deadline(max(LEAST_LOOKING_S, LOOKING * recipe.time_budget_s))
    held_out = ready.cells.iloc[division.test], ready.truth.at(division.test)
    weights = importances(model, *held_out, seed=recipe.seed, control=control)
    known = ready.cells.iloc[division.train]
    curves = dependences(model, known, [one.column for one in weights], seed=recipe.seed, control=control)
    found = Found(
        entries=entries,
        winner=winner,
        ensemble=ensemble,
        model=model,
        importances=tuple(weights),
        dependences=tuple(curves),
        leaks=told,
    )
    seconds = time.monotonic() - begun
    results = build_results(found, ready, task, recipe=recipe, job_id=run.job_id, seconds=seconds)
    with atomic_directory(run.folder) as temporary:
        found.model.save(temporary)
        size = sum(file.stat().st_size for file in temporary.iterdir()) / 1e6
        scores = {"score": results.test.score, "score_ci95": results.test.score_ci95}
        kept = model.info.model_copy(update={**scores, "job_id": run.job_id, "size_mb": size})
        replace(model, info=kept).save_info(temporary)
        (temporary / RESULTS_FILE).write_text(results.model_dump_json(indent=2), encoding="utf-8")
    return results, kept


def check_models(names: Sequence[str] | None) -> None:
    """Look every name up.

    Raises:
        RecipeError: one is not in the catalogue; the message suggests the nearest.
    """
    for name in names or ():
        MODELS.get(name)


def _learner(ready: Prepared, recipe: TableRecipe, run: TableRun) -> Learner:
    spec = MODELS.get(BASELINE)
    return Learner(
        spec=spec,
        tuning=spec.settings[0],
        task=ready.truth.task,
        features=feature_names(ready.columns),
        classes=ready.truth.classes,
        seed=recipe.seed,
        threads=run.threads,
    )


def _with_the_score_without(
    leaks: Mapping[str, float], ready: Prepared, task: Task, *, learner: Learner, control: RunControl
) -> tuple[TargetLeak, ...]:
    """Each leak with the best score of two quick models that see none of them."""
    kept = [column for column in ready.columns if column.name not in leaks]
    without = None
    if leaks and kept:
        narrower = replace(learner, features=feature_names(kept))
        without = quick_score(task, QUICK, learner=narrower, control=control)
    return tuple(TargetLeak(column=name, score=value, score_without=without) for name, value in leaks.items())
