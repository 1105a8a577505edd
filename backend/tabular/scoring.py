"""Answers against the truth: scores, and intervals that say how far they are to be believed. Pure.

Of several classes: accuracy, or macro-F1 where classes are uneven; of amounts: R² (Wikipedia's coefficient of
determination), the mean absolute error and the root of the mean square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from backend.contracts import ClassScore, ConfusionMatrix
from backend.contracts.table import TableMetric, TableTask

# As for images: a class three times as frequent as another makes accuracy flatter whoever ignores the rare one.
UNEVEN = 3.0
RESAMPLES, MOST_RESAMPLED = 300, 20_000

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Truth:
    """What was to be answered: class numbers int [N], or amounts float [N]."""

    task: TableTask
    targets: Array
    classes: int = 0

    def at(self, rows: Array) -> Truth:
        return Truth(self.task, self.targets[rows], self.classes)


def choose_metric(truth: Truth) -> TableMetric:
    """The score that models are ranked by."""
    if truth.task == "regression":
        return "r2"
    counts = np.bincount(truth.targets, minlength=truth.classes)
    return "macro_f1" if counts.max() >= UNEVEN * max(1, counts.min()) else "accuracy"


def decide(truth: Truth, answers: Array) -> Array:
    """Class numbers [N] from probabilities [N, C]; amounts are their own answer."""
    decided: Array = answers.argmax(axis=1) if truth.task == "classification" else answers
    return decided


def score(metric: TableMetric, truth: Truth, answers: Array) -> float:
    """The metric of probabilities [N, C], or of amounts [N]."""
    return _score(metric, truth.targets, decide(truth, answers), truth.classes)


def _score(metric: TableMetric, truth: Array, decided: Array, classes: int) -> float:
    if metric == "accuracy":
        return float(np.mean(truth == decided))
    if metric == "macro_f1":
        return _macro_f1(truth, decided, classes)
    spread = float(np.sum((truth - truth.mean()) ** 2))
    return 1.0 - float(np.sum((truth - decided) ** 2)) / spread if spread > 0 else 0.0


def _macro_f1(truth: Array, decided: Array, classes: int) -> float:
    """By counting: scikit-learn's takes a millisecond, which a bootstrap pays hundreds of times."""
    pairs = np.bincount(truth * classes + decided, minlength=classes * classes).reshape(classes, classes)
    hit, asked, said = np.diag(pairs), pairs.sum(axis=1), pairs.sum(axis=0)
    there = (asked + said) > 0
    return float(np.mean(2 * hit[there] / (asked + said)[there]))


def interval(metric: TableMetric, truth: Truth, answers: Array, *, seed: int) -> tuple[float, float]:
    """95%: of accuracy by Wilson's score (1927), else by the bootstrap over at most 20,000 rows (Efron 1979).

    Where every row is right there is nothing to resample, and macro-F1 has Wilson's interval too.
    """
    decided = decide(truth, answers)
    if truth.task == "classification":
        right = int(np.sum(decided == truth.targets))
        if metric == "accuracy" or right == len(decided):
            return _wilson(right, len(decided))
    generator = np.random.default_rng(seed)
    count = min(len(decided), MOST_RESAMPLED)
    drawn = [generator.integers(0, len(decided), count) for _ in range(RESAMPLES)]
    scores = [_score(metric, truth.targets[rows], decided[rows], truth.classes) for rows in drawn]
    # fewer rows than there are make the interval wider than it is; its width goes with the root of their number
    low, high = np.quantile(scores, [0.025, 0.975])
    middle, shrink = score(metric, truth, answers), float(np.sqrt(count / len(decided)))
    return middle - (middle - float(low)) * shrink, middle + (float(high) - middle) * shrink


def _wilson(right: int, count: int) -> tuple[float, float]:
    share, z = right / count, 1.96
    middle = share + z * z / (2 * count)
    reach = z * float(np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)))
    return max(0.0, (middle - reach) / (1 + z * z / count)), min(1.0, (middle + reach) / (1 + z * z / count))


def losses(truth: Truth, answers: Array) -> dict[str, float]:
    """Log-loss in nats of classes; mean absolute error and root mean square error of amounts."""
    if truth.task == "classification":
        return {"log_loss": float(log_loss(truth.targets, _whole(answers), labels=range(truth.classes)))}
    errors = answers - truth.targets
    return {"mae": float(np.mean(np.abs(errors))), "rmse": float(np.sqrt(np.mean(errors**2)))}


def more_scores(truth: Truth, answers: Array) -> dict[str, float | None]:
    """Everything that is said of the held-out rows beside the metric."""
    if truth.task == "regression":
        return {"r2": score("r2", truth, answers), **losses(truth, answers)}
    return {
        "accuracy": score("accuracy", truth, answers),
        "macro_f1": float(f1_score(truth.targets, decide(truth, answers), average="macro", zero_division=0)),
        "roc_auc": _roc_auc(truth, answers),
        **losses(truth, answers),
    }


def _roc_auc(truth: Truth, answers: Array) -> float | None:
    present = np.unique(truth.targets)
    if len(present) < truth.classes:  # an area needs both sides
        return None
    probabilities = _whole(answers)
    if truth.classes == 2:
        return float(roc_auc_score(truth.targets, probabilities[:, 1]))
    return float(roc_auc_score(truth.targets, probabilities, multi_class="ovr"))


def _whole(answers: Array) -> Array:
    whole: Array = answers / answers.sum(axis=1, keepdims=True)
    return whole


def matrix_of(truth: Truth, answers: Array, class_names: tuple[str, ...]) -> ConfusionMatrix:
    counts = confusion_matrix(truth.targets, decide(truth, answers), labels=range(truth.classes))
    return ConfusionMatrix(labels=class_names, matrix=tuple(tuple(int(cell) for cell in row) for row in counts))


def class_scores(truth: Truth, answers: Array, class_names: tuple[str, ...]) -> tuple[ClassScore, ...]:
    found = precision_recall_fscore_support(
        truth.targets, decide(truth, answers), labels=range(truth.classes), zero_division=0
    )
    return tuple(
        ClassScore(label=name, precision=float(p), recall=float(r), f1=float(f), support=int(n))
        for name, p, r, f, n in zip(class_names, *found, strict=True)
    )
