"""Models compared on the same folds within a time budget: defaults of all first, then further settings of the best.

It returns every attempt with its answers for rows that it had not learned from; one that stands in the journal is not
made again. It reads no held-out row and saves nothing else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from backend.contracts import CandidateProgress, Progress, RunControl
from backend.contracts.table import TableMetric
from backend.tabular.attempt_notes import Ended, note_attempt, recalled_attempt
from backend.tabular.fitting import Array, Learner, answers_of
from backend.tabular.folds import Division
from backend.tabular.models import BASELINE, MODELS, TableModelSpec
from backend.tabular.pace import TOLD_FROM_ROWS, pace_of
from backend.tabular.scoring import Truth, losses, score

SCREEN_SHARE = 0.9  # of the progress bar
# A cancelled job has to be over within 5 s; a model of which the folds took this long is fitted once more in a quarter.
QUICK_ENOUGH_S = 6.0


@dataclass(frozen=True)
class Task:
    """What all models are given alike."""

    features: pd.DataFrame
    truth: Truth
    division: Division
    metric: TableMetric
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """A model with some settings: its answers for the training rows, in their order, each from a fold without it."""

    learner: Learner
    answers: Array
    score: float
    loss: float
    seconds: float

    @property
    def order(self) -> tuple[float, float]:
        """Higher is better; of equal scores the one that is surer of what is right."""
        return (self.score, -self.loss)


@dataclass
class Entry:
    """All that was tried of one model. `reason` says why there is nothing, or why it ended."""

    spec: TableModelSpec
    attempts: list[Attempt] = field(default_factory=list)
    status: str = "queued"
    reason: str | None = None

    @property
    def best(self) -> Attempt | None:
        return max(self.attempts, key=lambda attempt: attempt.order, default=None)

    @property
    def seconds(self) -> float:
        return sum(attempt.seconds for attempt in self.attempts)


CANCELLED = "The job was cancelled before it had ended."


class _OutOfTime(Exception):
    """The folds would end after the deadline; the words say how long they would take."""


def compare(task: Task, names: Sequence[str], *, learner: Learner, control: RunControl) -> list[Entry]:
    """Try the models of these names, the baseline always. `learner` says everything but the model and its settings.

    A model that cannot be fitted is `failed` with the reason, one that does not fit the time `skipped`.

    Raises:
        JobCancelled: somebody asked to stop.
    """
    chosen = [BASELINE, *(name for name in names if name != BASELINE)]
    entries = [Entry(MODELS.get(name)) for name in chosen]
    for place, entry in enumerate(entries):
        _report(control, entry, done=place / len(entries), message=f"Trying {entry.spec.title.lower()}")
        _try(entry, task, learner=learner, control=control, must=place <= 1)
        if place and entry.attempts and entry.seconds <= QUICK_ENOUGH_S:
            control.keep_what_is_done()
        _report(control, entry, done=(place + 1) / len(entries), message=f"Tried {entry.spec.title.lower()}")
    _tune(entries, task, learner=learner, control=control)
    return entries


def quick_score(task: Task, names: Sequence[str], *, learner: Learner, control: RunControl) -> float | None:
    """The best cross-validated score of some models with default settings; the first is tried in any case."""
    entries = [Entry(MODELS.get(name)) for name in names]
    for place, entry in enumerate(entries):
        _try(entry, task, learner=learner, control=control, must=place == 0)
    return max((entry.best.score for entry in entries if entry.best is not None), default=None)


def _tune(entries: Sequence[Entry], task: Task, *, learner: Learner, control: RunControl) -> None:
    """Further settings, one at a time, of the best model that has some left."""
    given_up: set[str] = set()
    while not control.deadline.expired():
        open_ones = [
            entry
            for entry in entries
            if entry.attempts
            and entry.spec.name not in given_up
            and len(entry.attempts) < len(entry.spec.settings)
            and entry.seconds / len(entry.attempts) <= control.deadline.remaining()
        ]
        if not open_ones:
            return
        # a model's further settings count as a little less worth trying the more of them did not help
        entry = max(open_ones, key=_hope)
        before = len(entry.attempts)
        _report(control, entry, done=1.0, message=f"Trying other settings of {entry.spec.title.lower()}")
        _try(entry, task, learner=learner, control=control, must=False)
        if len(entry.attempts) == before:
            given_up.add(entry.spec.name)
        _report(control, entry, done=1.0, message=f"Tried other settings of {entry.spec.title.lower()}")


def _hope(entry: Entry) -> tuple[float, float]:
    best = entry.best
    assert best is not None  # noqa: S101 - only entries with attempts are asked
    tried_in_vain = len(entry.attempts) - 1 - entry.attempts.index(best)
    return (best.score - 0.02 * tried_in_vain, -entry.seconds)


def _try(entry: Entry, task: Task, *, learner: Learner, control: RunControl, must: bool) -> None:
    spec = entry.spec
    rows = len(task.division.train)
    if rows > spec.most_rows:
        entry.status = "skipped"
        entry.reason = f"It is for at most {spec.most_rows:,} rows; there are {rows:,} to learn from."
        return
    tried = len(entry.attempts)
    own = replace(learner, spec=spec, tuning=spec.settings[tried])
    page = control.journal.at(spec.name).at(f"settings {tried + 1}")
    ended = recalled_attempt(page)
    if ended is None:
        ended = _ended(own, task, control=control, must=must)
        if not control.ended_early:
            note_attempt(page, ended)
    if ended.answers is not None:
        entry.attempts.append(Attempt(own, ended.answers, ended.score, ended.loss, ended.seconds))
    entry.status = "ok" if entry.attempts else ended.status
    entry.reason = entry.reason if entry.attempts else ended.reason


def _ended(learner: Learner, task: Task, *, control: RunControl, must: bool) -> Ended:
    begun = time.monotonic()
    try:
        answers = _cross_validated(learner, task, control=control, must=must)
    except _OutOfTime as error:
        return Ended(time.monotonic() - begun, status="skipped", reason=str(error))
    except (ValueError, MemoryError, np.linalg.LinAlgError) as error:
        reason = f"{type(error).__name__}: {str(error)[:300]}"
        return Ended(time.monotonic() - begun, status="failed", reason=reason)
    seen = task.truth.at(task.division.train)
    loss = losses(seen, answers)["log_loss" if seen.classes else "rmse"]
    return Ended(time.monotonic() - begun, answers, score(task.metric, seen, answers), loss)


def _cross_validated(learner: Learner, task: Task, *, control: RunControl, must: bool) -> Array:
    """Answers for the training rows, each from the fold without it.

    Raises:
        _OutOfTime: it would not end in time, told before the first fold where that may be long, or between folds.
    """
    truth, folds = task.truth, task.division.folds
    if not must:
        _require_time(learner, task, control=control)
    begun = time.monotonic()
    count = len(task.features)
    whole = np.full((count, truth.classes) if truth.classes else count, np.nan)
    for place, (learn, answer) in enumerate(folds):
        control.check()
        if control.ended_early:
            raise _OutOfTime(CANCELLED)
        spent = time.monotonic() - begun
        expected = spent / place * (len(folds) - place) if place else 0.0
        if not must and expected > control.deadline.remaining():
            raise _OutOfTime(_too_long(len(folds), spent + expected, "of the budget"))
        pipeline = learner.fit(task.features.iloc[learn], truth.targets[learn])
        whole[answer] = answers_of(pipeline, task.features.iloc[answer], task=truth.task, classes=truth.classes)
    answers: Array = whole[task.division.train]
    return answers


def _require_time(learner: Learner, task: Task, *, control: RunControl) -> None:
    """Refuse what would not end in time, before it begins."""
    control.check()
    if control.ended_early:
        raise _OutOfTime(CANCELLED)
    left = control.deadline.remaining()
    if left <= 0:
        raise _OutOfTime("The time was used up before its turn. A larger time budget (time_budget_s) makes room.")
    rows, folds = task.division.train, len(task.division.folds)
    if len(rows) <= TOLD_FROM_ROWS or not math.isfinite(left):
        return
    pace = pace_of(learner, task.features.iloc[rows], task.truth.at(rows), limit_s=left, control=control)
    if pace is not None and pace.folds(len(rows)) > control.deadline.remaining():
        left = control.deadline.remaining()
        raise _OutOfTime(_too_long(folds, pace.folds(len(rows)), f"of the budget ({left:.0f} s), {pace.words()}"))


def _too_long(folds: int, seconds: float, of_what: str) -> str:
    return (
        f"Its {folds} folds would take about {seconds:.0f} s, more than is left {of_what}. "
        "A larger time budget (time_budget_s) makes room."
    )


def _report(control: RunControl, entry: Entry, *, done: float, message: str) -> None:
    best = entry.best
    state = {"queued": "running", "ok": "succeeded"}.get(entry.status, entry.status)
    candidate = CandidateProgress.model_validate(
        {
            "name": entry.spec.name,
            "state": state,
            "stage": "cross-validating" if state == "running" else state,
            "score": None if best is None else best.score,
            "reason": entry.reason,
            "tried": None if best is None else best.learner.words(),
            "seconds": entry.seconds,
        }
    )
    control.report(Progress(stage="comparing", message=message, progress=SCREEN_SHARE * done, candidate=candidate))
