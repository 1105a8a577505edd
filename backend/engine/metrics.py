"""Scores of predictions. Pure numpy; it knows no network.

Probabilities are [N, C], targets [N] class indices; a class may be absent from truth and predictions alike. Where an
image may have several labels, targets are [N, C] of 0 and 1, and `engine.label_metrics` answers in the same words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.contracts import ClassScore, ConfusionMatrix, LabelConfusion, RankBy, TestScores
from backend.data.targets import Targets, is_multilabel
from backend.engine import label_metrics
from backend.engine.thresholds import decide

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

ECE_BINS = 15
Z_95 = 1.959963984540054  # two-sided 95% of the normal distribution
SMALLEST = 1e-12  # a probability of 0 for the truth costs 27.6 nats, not infinity


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores, and the tables behind them. Counts are images. `label_confusion` is multi-label only, and then all."""

    test: TestScores
    confusion_matrix: ConfusionMatrix | None
    per_class: tuple[ClassScore, ...]
    label_confusion: tuple[LabelConfusion, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain JSON with the field names of the API's results; a table that does not fit the task is left out."""
        tables: dict[str, Any] = {"test": self.test.model_dump(mode="json", exclude_none=True)}
        tables["per_class"] = [score.model_dump(mode="json", exclude_none=True) for score in self.per_class]
        if self.confusion_matrix is not None:
            tables["confusion_matrix"] = self.confusion_matrix.model_dump(mode="json")
        if self.label_confusion:
            tables["label_confusion"] = [one.model_dump(mode="json") for one in self.label_confusion]
        return tables


def evaluate(
    probabilities: Floats,
    targets: Targets,
    class_names: Sequence[str],
    *,
    thresholds: Sequence[float] | None = None,
) -> Evaluation:
    """Score predictions on held-out images; `thresholds` [C] are a multi-label model's.

    Raises:
        ValueError: shapes do not agree, there is no image, or a multi-label model has no thresholds.
    """
    if is_multilabel(targets):
        return _evaluate_labels(probabilities, targets, class_names, thresholds=thresholds)
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


def accuracy(probabilities: Floats, targets: Targets) -> float:
    """Share of images whose most probable class is the true one, or of which every label is right."""
    if is_multilabel(targets):
        return label_metrics.subset_accuracy(probabilities, targets)
    return float((probabilities.argmax(axis=1) == targets).mean())


def right_answers(probabilities: Floats, targets: Targets) -> npt.NDArray[np.bool_]:
    """Which images are answered right [N]: the class, or every label."""
    if is_multilabel(targets):
        return np.asarray(label_metrics.mistakes(probabilities, targets) == 0)
    return np.asarray(probabilities.argmax(axis=1) == targets)


def macro_f1(probabilities: Floats, targets: Targets) -> float:
    """Mean F1 over the classes that occur in truth or predictions, each counting alike."""
    if is_multilabel(targets):
        return label_metrics.macro_f1(probabilities, targets)
    matrix = confusion_counts(probabilities.argmax(axis=1), targets, num_classes=probabilities.shape[1])
    occurs = (matrix.sum(axis=0) + matrix.sum(axis=1)) > 0
    return float(_f1(matrix)[occurs].mean())


def mean_average_precision(probabilities: Floats, targets: Targets) -> float:
    """Mean over classes of the average precision; of class indices each class against all others."""
    if not is_multilabel(targets):
        targets = np.eye(probabilities.shape[1])[np.asarray(targets, dtype=np.int64)]
    return label_metrics.mean_average_precision(probabilities, targets)


def score_by(by: RankBy) -> Callable[[Floats, Targets], float]:
    """The score that ranks; higher is better."""
    return {"accuracy": accuracy, "macro_f1": macro_f1, "mean_average_precision": mean_average_precision}[by]


def image_losses(probabilities: Floats, targets: Targets) -> Floats:
    """Negative log-likelihood of the truth of each image [N], in nats; of several labels their mean."""
    if is_multilabel(targets):
        truth = label_metrics.truth_probability(probabilities, targets)
        return np.asarray(-np.log(np.clip(truth, SMALLEST, 1.0)).mean(axis=1))
    chosen = probabilities[np.arange(len(targets)), targets]
    return np.asarray(-np.log(np.clip(chosen, SMALLEST, 1.0)))


def log_loss(probabilities: Floats, targets: Targets, *, weights: Floats | None = None) -> float:
    """Mean negative log-likelihood of the truth, in nats; `weights` [N] say how much each image counts.

    Of several labels the mean over them; weights are then [N, C].
    """
    if is_multilabel(targets):
        return label_metrics.binary_log_loss(probabilities, targets, weights=weights)
    chosen = probabilities[np.arange(len(targets)), targets]
    return float(np.average(-np.log(np.clip(chosen, SMALLEST, 1.0)), weights=weights))


def expected_calibration_error(probabilities: Floats, targets: Targets) -> float:
    """Mean gap between confidence and accuracy over 15 equal-width bins (Guo et al. 2017, "On Calibration")."""
    if is_multilabel(targets):
        return label_metrics.calibration_error(probabilities, targets)
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


def _evaluate_labels(
    probabilities: Floats, targets: Targets, class_names: Sequence[str], *, thresholds: Sequence[float] | None
) -> Evaluation:
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if not len(targets) or probabilities.shape != targets.shape or targets.shape[1] != len(class_names):
        raise ValueError(f"probabilities {probabilities.shape}, targets {targets.shape}, {len(class_names)} labels")
    if thresholds is None:
        raise ValueError("a model of several labels has a threshold for each")
    present = decide(probabilities, thresholds)
    right = int((label_metrics.mistakes(probabilities, targets, present) == 0).sum())
    scores = TestScores(
        accuracy=right / len(targets),
        accuracy_ci95=wilson_interval(right, len(targets)),
        macro_f1=label_metrics.macro_f1(probabilities, targets, present),
        log_loss=log_loss(probabilities, targets),
        expected_calibration_error=expected_calibration_error(probabilities, targets),
        subset_accuracy=right / len(targets),
        micro_f1=label_metrics.micro_f1(present, targets),
        hamming_loss=label_metrics.hamming_loss(present, targets),
        mean_average_precision=mean_average_precision(probabilities, targets),
    )
    per_class, tables = label_metrics.label_tables(probabilities, targets, class_names, thresholds, present)
    return Evaluation(test=scores, confusion_matrix=None, per_class=per_class, label_confusion=tables)


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
