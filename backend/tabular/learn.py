"""From a table and a recipe to a saved model and its results: the stages of a training on a table, top to bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from backend.contracts import Deadline, Progress, RunControl
from backend.contracts.journal import Journal, NullJournal, decided
from backend.contracts.table import TableInfo, TableModelInfo, TableRecipe, TableResults, TargetLeak
from backend.storage.files import atomic_directory
from backend.tabular.compare import Task, compare, quick_score
from backend.tabular.features import feature_names
from backend.tabular.fitting import Learner
from backend.tabular.folds import divide
from backend.tabular.leaks import find_leaks
from backend.tabular.looking import dependences, importances
from backend.tabular.model import TableModel
from backend.tabular.models import BASELINE, MODELS
from backend.tabular.pace import affordable_rows
from backend.tabular.preparing import Prepared, prepare
from backend.tabular.report import Found, build_results
from backend.tabular.scoring import choose_metric
from backend.tabular.winner import choose, fit_winner, versions
from backend.tracking.protocol import NullTracker, Tracker

RESULTS_FILE = "results.json"
# Of the budget: until when rows are read, leaks looked for and models compared; what the looks for leaks and into the
# model may take of it. What is left is the last fit: at most a quarter of the comparison, for that fits every model
# once where the folds fitted it five times.
COMPARING, LEAKS, LOOKING = 0.72, 0.1, 0.1
LEAST_LOOKING_S = 1.0
# What the first two models may take of what is left, so that there are rows enough and time for others.
FIRST_TWO = 0.5
QUICK = ("linear", "boosting")
LEAST_TRACKING_S = 2.0  # of waiting for MLflow's record even where the budget is used up
CANCELLED = "The job was cancelled: these are the models that had finished by then, and the best of them."


@dataclass(frozen=True)
class TableRun:
    """Names and places of one training. `folder` must not exist yet. The time budget begins at `begun` (monotonic).

    With a `journal`, a run that was cut short goes on where it was when the same is asked for again.
    """

    job_id: str
    model_id: str
    folder: Path
    threads: int = 1
    tracker: Tracker = field(default_factory=NullTracker)
    journal: Journal = field(default_factory=NullJournal)
    begun: float = field(default_factory=time.monotonic)


def learn(
    frame: pd.DataFrame, info: TableInfo, recipe: TableRecipe, *, run: TableRun, control: RunControl
) -> tuple[TableResults, TableModelInfo]:
    """Compare models, save the best one in `run.folder`, and return everything there is to say, and the model's record.

    Raises:
        RecipeError, TableError: what was asked does not fit the table.
        JobCancelled: somebody asked to stop before any model had finished; nothing was written.
        ConflictError: another process is at work on the same run.
    """
    check_models(recipe.models)
    begun = run.journal.begin(_identity(info, recipe))
    try:
        run.tracker.start(
            run_name=run.job_id,
            params={**recipe.model_dump(mode="json", exclude_none=True), "rows": info.rows, "digest": info.digest},
            tags={"dataset": info.name},
            resume=begun.attempt > 1,
        )
        control.journal = run.journal
        timed = replace(run, begun=run.begun - begun.used_s)
        return _learn(frame, info, recipe, run=timed, control=control)
    except BaseException as error:
        run.tracker.abort(str(error) or type(error).__name__)
        raise
    finally:
        run.journal.close()


def _learn(
    frame: pd.DataFrame, info: TableInfo, recipe: TableRecipe, *, run: TableRun, control: RunControl
) -> tuple[TableResults, TableModelInfo]:
    control.report(Progress(stage="preparing", message="Reading the columns", progress=0.0))
    whole = Deadline(recipe.time_budget_s - (time.monotonic() - run.begun))
    control.deadline = Deadline(whole.remaining() - (1 - COMPARING) * recipe.time_budget_s)
    ready = prepare(frame, info, recipe)
    ready = _affordable(ready, info, recipe, run=run, control=control)
    division = divide(ready.features, ready.truth, test_size=recipe.test_size, seed=recipe.seed)
    task = Task(ready.features, ready.truth, division, choose_metric(ready.truth), ready.target.class_names)
    learner = _learner(ready, recipe, run)
    leaks = _leaks(ready, task, learner=learner, budget_s=recipe.time_budget_s, control=control)
    entries = compare(task, recipe.models or MODELS.names(), learner=learner, control=control)
    # one fit is over sooner than several
    winner, ensemble = choose(entries, task, ensemble=recipe.ensemble and not control.ended_early)

    control.report(Progress(stage="finishing", message=f"Fitting: {winner.title.lower()}", progress=0.92))
    model = fit_winner(winner, task, ready.columns, info=info, recipe=recipe, model_id=run.model_id)
    looked = _look_in(model, ready, task, recipe=recipe, control=control)
    found = Found(entries=entries, winner=winner, ensemble=ensemble, model=model, leaks=leaks, **looked)
    results = build_results(found, ready, task, recipe=recipe, job_id=run.job_id)
    notes = (CANCELLED, *results.notes) if control.ended_early else results.notes
    results = results.model_copy(update={"notes": notes, "total_seconds": time.monotonic() - run.begun})
    kept = _save(model, results, run.folder)
    within_s = 0.2 if control.ended_early else max(LEAST_TRACKING_S, whole.remaining())
    tracking = run.tracker.finish(results, [run.folder], within_s=within_s)
    if tracking.get("status") == "failed":
        notes = (*notes, f"MLflow has no complete record of this run: {tracking.get('detail')}")
    return results.model_copy(update={"tracking": tracking, "notes": notes}), kept


def _identity(info: TableInfo, recipe: TableRecipe) -> dict[str, object]:
    """What a journal must have been written for, to be of use."""
    return {"recipe": recipe.model_dump(mode="json"), "table": info.digest, "versions": versions()}


def _affordable(
    ready: Prepared, info: TableInfo, recipe: TableRecipe, *, run: TableRun, control: RunControl
) -> Prepared:
    """As many rows as the first two models can be compared on within the budget; the rest is left out, and said."""
    learner = _learner(ready, recipe, run)
    first = [name for name in recipe.models or QUICK if name != BASELINE][: len(QUICK)]
    learners = [replace(learner, spec=spec, tuning=spec.settings[0]) for spec in map(MODELS.get, first)]

    def rows() -> int:
        within_s = FIRST_TWO * control.deadline.remaining()
        return affordable_rows(learners, ready.features, ready.truth, within_s=within_s, control=control)

    chosen = decided(control.journal, "rows", rows)
    why = (
        f"{chosen:,} of {info.rows:,} rows were drawn by chance to learn from and to be tested on: so many "
        f"fit the time budget of {recipe.time_budget_s:,.0f} s. A larger one (time_budget_s) makes room for more."
    )
    return ready.thinned(chosen, seed=recipe.seed, why=why)


def _look_in(
    model: TableModel, ready: Prepared, task: Task, *, recipe: TableRecipe, control: RunControl
) -> dict[str, Any]:
    """What the answers rest on; as much of it as the time allows."""
    control.report(Progress(stage="looking in", message="Finding out what the answers rest on", progress=0.95))
    seconds = 0.0 if control.ended_early else max(LEAST_LOOKING_S, LOOKING * recipe.time_budget_s)
    control.deadline = Deadline(seconds)
    division = task.division
    held_out = ready.cells.iloc[division.test], ready.truth.at(division.test)
    weights = importances(model, *held_out, seed=recipe.seed, control=control)
    known, names = ready.cells.iloc[division.train], [one.column for one in weights]
    curves = dependences(model, known, names, seed=recipe.seed, control=control)
    return {"importances": tuple(weights), "dependences": tuple(curves)}


def _save(model: TableModel, results: TableResults, folder: Path) -> TableModelInfo:
    with atomic_directory(folder) as temporary:
        model.save(temporary)
        size = sum(file.stat().st_size for file in temporary.iterdir()) / 1e6
        scores = {"score": results.test.score, "score_ci95": results.test.score_ci95}
        kept = model.info.model_copy(update={**scores, "job_id": results.job_id, "size_mb": size})
        replace(model, info=kept).save_info(temporary)
        (temporary / RESULTS_FILE).write_text(results.model_dump_json(indent=2), encoding="utf-8")
    return kept


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


def _leaks(
    ready: Prepared, task: Task, *, learner: Learner, budget_s: float, control: RunControl
) -> tuple[TargetLeak, ...]:
    """Columns that alone predict the target, each with the best score of two quick models that see none of them."""
    timed = control.unwritten()
    timed.deadline = Deadline(min(LEAKS * budget_s, control.deadline.remaining()))

    def found() -> list[dict[str, Any]]:
        train = task.division.train
        known = ready.features.iloc[train], ready.truth.at(train)
        leaks = find_leaks(*known, ready.columns, seed=learner.seed, control=timed)
        kept = [column for column in ready.columns if column.name not in leaks]
        without = None
        if leaks and kept:
            narrower = replace(learner, features=feature_names(kept))
            without = quick_score(task, QUICK, learner=narrower, control=timed)
        return [{"column": name, "score": value, "score_without": without} for name, value in leaks.items()]

    return tuple(TargetLeak.model_validate(leak) for leak in decided(control.journal, "leaks", found))
