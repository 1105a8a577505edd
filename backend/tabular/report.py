"""What a finished comparison has to say, as one record. The held-out rows are read here, once, after the choice."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from backend.contracts.table import (
    ColumnImportance,
    PartialDependence,
    Residual,
    TableRecipe,
    TableResults,
    TableRow,
    TableTestScores,
    TargetLeak,
)
from backend.tabular.compare import Entry, Task
from backend.tabular.fitting import Array
from backend.tabular.model import TableModel
from backend.tabular.models import BASELINE
from backend.tabular.preparing import Prepared
from backend.tabular.scoring import Truth, class_scores, interval, losses, matrix_of, more_scores, score
from backend.tabular.winner import ENSEMBLE, Winner

MOST_RESIDUALS = 1_000
TIMED_ROWS = 200
FEW_TEST_ROWS = 50


@dataclass(frozen=True)
class Found:
    """Everything that the stages found out."""

    entries: Sequence[Entry]
    winner: Winner
    ensemble: Winner | None
    model: TableModel
    importances: tuple[ColumnImportance, ...]
    dependences: tuple[PartialDependence, ...]
    leaks: tuple[TargetLeak, ...]


def build_results(found: Found, ready: Prepared, task: Task, *, recipe: TableRecipe, job_id: str) -> TableResults:
    """Read the held-out rows and put everything together; how long it took is for the caller to say."""
    division, names = task.division, task.class_names
    cells, truth = ready.cells.iloc[division.test], ready.truth.at(division.test)
    begun = time.perf_counter()
    answers = found.model.answers(cells)
    per_row = 1000 * (time.perf_counter() - begun) / max(1, len(cells))
    classes = truth.task == "classification"
    amounts = (
        []
        if classes
        else [Residual(truth=float(t), answer=float(a)) for t, a in zip(truth.targets, answers, strict=True)]
    )
    return TableResults(
        job_id=job_id,
        dataset_id=recipe.dataset_id,
        model_id=found.model.info.model_id,
        target=recipe.target,
        task=truth.task,
        metric=task.metric,
        class_names=names,
        best_model=found.winner.name,
        leaderboard=_leaderboard(found, task, seed=recipe.seed, per_row=per_row),
        test=_test(found, task, truth, answers, seed=recipe.seed),
        confusion_matrix=matrix_of(truth, answers, names) if classes else None,
        per_class=class_scores(truth, answers, names) if classes else (),
        residuals=tuple(amounts[:MOST_RESIDUALS]),
        importances=found.importances,
        partial_dependence=found.dependences,
        used_columns=tuple(column.name for column in ready.columns),
        left_out=ready.left_out,
        leaks=found.leaks,
        split={
            "train": len(division.train),
            "test": len(division.test),
            "folds": len(division.folds),
            "seed": recipe.seed,
            "strategy": "stratified, equal rows kept together",
        },
        recipe=recipe.model_dump(mode="json"),
        environment=dict(found.model.info.versions),
        notes=_notes(found, ready, task),
        total_seconds=0.0,
    )


def _leaderboard(found: Found, task: Task, *, seed: int, per_row: float) -> tuple[TableRow, ...]:
    rows = [_row(entry, task, seed=seed) for entry in found.entries]
    if found.ensemble is not None:
        rows.append(_winner_row(found.ensemble, task, seed=seed))
    ranked = sorted((row for row in rows if row.score is not None), key=_order)
    others = [row for row in rows if row.score is None]
    best = ranked[0].score or 0.0
    placed = []
    for place, row in enumerate(ranked, start=1):
        holds = row.score_ci95 is not None and row.score_ci95[0] <= best <= row.score_ci95[1]
        own = {"predict_ms_per_row": per_row} if row.name == found.winner.name else {}
        placed.append(row.model_copy(update={"rank": place, "tie": place > 1 and holds, **own}))
    return (*placed, *others)


def _order(row: TableRow) -> tuple[float, float]:
    loss = row.log_loss if row.log_loss is not None else row.rmse
    return (-(row.score or 0.0), loss or 0.0)


def _row(entry: Entry, task: Task, *, seed: int) -> TableRow:
    best = entry.best
    if best is None:
        status = "failed" if entry.status == "failed" else "skipped"
        return TableRow.model_validate({"name": entry.spec.name, "status": status, "reason": entry.reason})
    single = Winner(entry.spec.name, entry.spec.title, ((best, 1.0),), best.answers, best.score, best.loss)
    tried = best.learner.words()
    if len(entry.attempts) > 1:
        tried += f" (best of {len(entry.attempts)} settings)"
    return _winner_row(single, task, seed=seed).model_copy(update={"tried": tried, "train_seconds": entry.seconds})


def _winner_row(winner: Winner, task: Task, *, seed: int) -> TableRow:
    truth = task.truth.at(task.division.train)
    return TableRow(
        name=winner.name,
        status="ok",
        tried=winner.words(),
        score=winner.score,
        score_ci95=interval(task.metric, truth, winner.answers, seed=seed),
        train_seconds=winner.seconds,
        **losses(truth, winner.answers),
    )


def _test(found: Found, task: Task, truth: Truth, answers: Array, *, seed: int) -> TableTestScores:
    return TableTestScores(
        rows=len(truth.targets),
        score=score(task.metric, truth, answers),
        score_ci95=interval(task.metric, truth, answers, seed=seed),
        baseline=next(entry.best.score for entry in found.entries if entry.spec.name == BASELINE and entry.best),
        **more_scores(truth, answers),
    )


def _notes(found: Found, ready: Prepared, task: Task) -> tuple[str, ...]:
    notes = list(ready.target.notes)
    division = task.division
    for leak in found.leaks:
        without = "" if leak.score_without is None else f" Without it: {leak.score_without:.2f}."
        notes.append(
            f"'{leak.column}' alone predicts '{found.model.info.target}' nearly perfectly ({leak.score:.2f})."
            f"{without} If it is only known afterwards, exclude it and train again."
        )
    if division.duplicates:
        notes.append(f"{division.duplicates:,} rows equal another; equal rows are never on both sides of a division.")
    if any(column.kind == "date" for column in ready.columns):
        notes.append(
            "The table has dates, and rows were divided by chance. Where the future is to be predicted from the past, "
            "the score flatters."
        )
    if len(division.test) < FEW_TEST_ROWS:
        notes.append(f"Only {len(division.test)} rows were held out, so the score may be far off; see its interval.")
    if found.winner.name != ENSEMBLE and found.ensemble is not None:
        notes.append("Several models together were tried and are not better than the best one alone.")
    return tuple(notes)
