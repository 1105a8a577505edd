"""Scores of predictions. Pure numpy; it knows no network.

Probabilities are [N, C], targets [N] class indices. A class may be absent from truth and predictions alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.contracts import ClassScore, ConfusionMatrix, TestScores

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

ECE_BINS = 15
Z_95 = 1.959963984540054  # two-sided 95% of the normal distribution
SMALLEST = 1e-12  # a probability of 0 for the truth costs 27.6 nats, not infinity


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores, and the tables behind them. Counts are images."""

    test: TestScores
    confusion_matrix: ConfusionMatrix
    per_class: tuple[ClassScore, ...]


def evaluate(probabilities: Floats, targets: Ints, class_names: Sequence[str]) -> Evaluation:
    """Score predictions on held-out images.

    Raises:
        ValueError: shapes do not agree, or there is no image.
    """
    probabilities, targets = _checked(probabilities, targets, len(class_names))
    matrix = confusion_counts(probabilities.argmax(axis=1), targets, num_classes=len(class_names))
    correct = int(np.trace(matrix))
    scores = TestScores(
        accuracy=correct / len(targets),
        accuracy_ci95=wilson_interval(correct, len(targets)),
        macro_f1=macro_f1(probabilities, targets),
        log_loss=log_loss(probabilities, targets),
        expected_calibration_error=expected_calibration_error(probabilities, targets),
    )
    table = tuple(tuple(int(count) for count in row) for row in matrix)
    return Evaluation(
        test=scores,
        confusion_matrix=ConfusionMatrix(labels=tuple(class_names), matrix=table),
        per_class=_per_class(matrix, class_names),
    )


def accuracy(probabilities: Floats, targets: Ints) -> float:
    """Share of images whose most probable class is the true one."""
    return float((probabilities.argmax(axis=1) == targets).mean())


def macro_f1(probabilities: Floats, targets: Ints) -> float:
    """Mean F1 over the classes that occur in truth or predictions, each counting alike."""
    matrix = confusion_counts(probabilities.argmax(axis=1), targets, num_classes=probabilities.shape[1])
    occurs = (matrix.sum(axis=0) + matrix.sum(axis=1)) > 0
    return float(_f1(matrix)[occurs].mean())


def log_loss(probabilities: Floats, targets: Ints, *, weights: Floats | None = None) -> float:
    """Mean negative log-likelihood of the truth, in nats; `weights` [N] say how much each image counts."""
    chosen = probabilities[np.arange(len(targets)), targets]
    return float(np.average(-np.log(np.clip(chosen, SMALLEST, 1.0)), weights=weights))


def expected_calibration_error(probabilities: Floats, targets: Ints) -> float:
    """Mean gap between confidence and accuracy over 15 equal-width bins (Guo et al. 2017, "On Calibration")."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == targets
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    gaps = np.abs(np.bincount(bins, weights=correct - confidence, minlength=ECE_BINS))
    return float(gaps.sum() / len(targets))


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """95% interval of a share by the Wilson score (Wilson 1927): stays in 0..1, sound for few images.

    Raises:
        ValueError: `total` is not positive, or `correct` is not within 0..total.
    """
    if total <= 0 or not 0 <= correct <= total:
        raise ValueError(f"{correct} of {total} is no share")
    share, spread = correct / total, Z_95**2 / total
    centre = (share + spread / 2) / (1 + spread)
    half = Z_95 / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return max(0.0, centre - half), min(1.0, centre + half)


def confusion_counts(predicted: Ints, targets: Ints, *, num_classes: int) -> npt.NDArray[np.int64]:
    """Counts [C, C]: rows are the truth, columns the prediction."""
    flat = np.bincount(targets * num_classes + predicted, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def _per_class(matrix: npt.NDArray[np.int64], class_names: Sequence[str]) -> tuple[ClassScore, ...]:
    hits = np.diag(matrix)
    precision, recall = _share(hits, matrix.sum(axis=0)), _share(hits, matrix.sum(axis=1))
    f1 = _f1(matrix)
    return tuple(
        ClassScore(
            label=name,
            precision=float(precision[index]),
            recall=float(recall[index]),
            f1=float(f1[index]),
            support=int(matrix[index].sum()),
        )
        for index, name in enumerate(class_names)
    )


def _f1(matrix: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return _share(2 * np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))


def _share(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The part of the whole, 0 where there is nothing to share."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _checked(probabilities: Floats, targets: Ints, num_classes: int) -> tuple[Floats, Ints]:
    probabilities, targets = np.asarray(probabilities, dtype=np.float64), np.asarray(targets, dtype=np.int64)
    if len(targets) == 0 or probabilities.shape != (len(targets), num_classes):
        raise ValueError(
            f"probabilities {probabilities.shape} do not go with {len(targets)} targets and {num_classes} classes"
        )
    return probabilities, targets
