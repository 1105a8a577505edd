"""Which model is kept, and its last fit: on all rows but the held-out ones. It reads no held-out row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from backend.contracts.table import TableColumn, TableInfo, TableMember, TableModelInfo, TableRecipe
from backend.errors import TableError
from backend.tabular.compare import Attempt, Entry, Task
from backend.tabular.ensemble import combine, together
from backend.tabular.fitting import Array
from backend.tabular.model import TableModel
from backend.tabular.models import BASELINE
from backend.tabular.scoring import losses, score

ENSEMBLE, ENSEMBLE_TITLE = "ensemble", "Several models together"
# Of the cross-validated answers, so many lie nearer to the truth than the interval is wide (split conformal, Lei 2018).
COVERED = 0.9


@dataclass(frozen=True)
class Winner:
    """What answers in the end: one attempt of weight 1, or several. `answers` are for the training rows."""

    name: str
    title: str
    members: tuple[tuple[Attempt, float], ...]
    answers: Array
    score: float
    loss: float

    @property
    def seconds(self) -> float:
        return sum(attempt.seconds for attempt, _ in self.members)

    def words(self) -> str:
        if len(self.members) == 1:
            return self.members[0][0].learner.words()
        return ", ".join(f"{attempt.learner.spec.title} {weight:.0%}" for attempt, weight in self.members)


def choose(entries: Sequence[Entry], task: Task, *, ensemble: bool) -> tuple[Winner, Winner | None]:
    """Return what is kept, and the ensemble that was tried, where one was.

    An ensemble is kept only where its cross-validated score is higher than the best single model's.

    Raises:
        TableError: no model could be fitted.
    """
    attempts = [attempt for entry in entries if entry.spec.name != BASELINE for attempt in entry.attempts]
    if not attempts:
        reasons = "; ".join(f"'{entry.spec.title}' ({entry.reason.rstrip('.')})" for entry in entries if entry.reason)
        raise TableError(f"No model could be fitted to this table. {reasons}.")
    best = max(attempts, key=lambda attempt: attempt.order)
    single = Winner(
        best.learner.spec.name, best.learner.spec.title, ((best, 1.0),), best.answers, best.score, best.loss
    )
    if not ensemble:
        return single, None
    truth = task.truth.at(task.division.train)
    members = combine(attempts, truth)
    if len(members) < 2:
        return single, None
    answers = together(members)
    loss = losses(truth, answers)["log_loss" if truth.classes else "rmse"]
    joined = Winner(ENSEMBLE, ENSEMBLE_TITLE, tuple(members), answers, score(task.metric, truth, answers), loss)
    return (joined if joined.score > single.score else single), joined


def fit_winner(
    winner: Winner, task: Task, columns: Sequence[TableColumn], *, info: TableInfo, recipe: TableRecipe, model_id: str
) -> TableModel:
    """Fit every member on all training rows; the model answers like its folds did, or a little better."""
    train = task.division.train
    features, values = task.features.iloc[train], task.truth.targets[train]
    fitted = tuple(attempt.learner.fit(features, values) for attempt, _ in winner.members)
    members = tuple(
        TableMember(
            name=attempt.learner.spec.name,
            title=attempt.learner.spec.title,
            tried=attempt.learner.words(),
            file=f"member_{place}.skops",
            weight=weight,
        )
        for place, (attempt, weight) in enumerate(winner.members, start=1)
    )
    error = None
    if task.truth.task == "regression":
        error = float(np.quantile(np.abs(winner.answers - task.truth.targets[train]), COVERED))
    described = TableModelInfo(
        model_id=model_id,
        dataset_id=info.dataset_id,
        name=winner.title,
        target=recipe.target,
        task=task.truth.task,
        metric=task.metric,
        class_names=task.class_names,
        columns=tuple(columns),
        decimal=info.decimal,
        members=members,
        error_90=error,
        score=winner.score,  # the held-out rows' takes its place
        score_ci95=(winner.score, winner.score),
        versions=versions(),
    )
    return TableModel(described, fitted)


def versions() -> dict[str, str]:
    """Of the libraries that decide what a model is."""
    return {name: version(name) for name in ("scikit-learn", "skops", "pandas", "numpy")}
