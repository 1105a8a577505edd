"""Scores of a model that may name several labels an image. Pure numpy; it knows no network.

Probabilities are [N, C], each label its own, targets [N, C] of 0 and 1. What needs a decision takes the decisions
[N, C]; without any, each image is decided by thresholds tuned on the others (`engine.thresholds`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from backend.contracts import ClassScore, LabelConfusion
from backend.engine.thresholds import held_out_decisions

Floats = npt.NDArray[np.floating]
Marks = npt.NDArray[np.bool_]

ECE_BINS = 15
SMALLEST = 1e-12


def subset_accuracy(probabilities: Floats, targets: Floats, present: Marks | None = None) -> float:
    """Share of images of which every label is right."""
    return float((_decided(probabilities, targets, present) == (targets > 0)).all(axis=1).mean())


def mistakes(probabilities: Floats, targets: Floats, present: Marks | None = None) -> npt.NDArray[np.int64]:
    """How many labels of each image are wrong [N]."""
    return np.asarray((_decided(probabilities, targets, present) != (targets > 0)).sum(axis=1), dtype=np.int64)


def macro_f1(probabilities: Floats, targets: Floats, present: Marks | None = None) -> float:
    """Mean F1 over the labels that occur in truth or answers, each counting alike; 0 where none occurs."""
    counts = label_counts(_decided(probabilities, targets, present), targets)
    occurs = counts[:, 1:].sum(axis=1) > 0
    return float(_f1(counts)[occurs].mean()) if occurs.any() else 0.0


def micro_f1(present: Marks, targets: Floats) -> float:
    """F1 of all decisions in one pot."""
    return float(_f1(label_counts(present, targets).sum(axis=0, keepdims=True))[0])


def hamming_loss(present: Marks, targets: Floats) -> float:
    """Share of all labels of all images that are wrong."""
    return float((present != (targets > 0)).mean())


def average_precisions(probabilities: Floats, targets: Floats) -> Floats:
    """Of each label [C], as scikit-learn has it: the mean precision at each find; NaN where no image carries it."""
    return np.array(
        [_average_precision(probabilities[:, label], targets[:, label] > 0) for label in range(targets.shape[1])]
    )


def mean_average_precision(probabilities: Floats, targets: Floats) -> float:
    """Mean over the labels that occur; 0 where none does. No threshold changes it."""
    each = average_precisions(probabilities, targets)
    return float(np.nanmean(each)) if not np.isnan(each).all() else 0.0


def binary_log_loss(probabilities: Floats, targets: Floats, *, weights: Floats | None = None) -> float:
    """Mean over images and labels of the negative log-likelihood, in nats; `weights` [N, C] as far as given."""
    return float(
        np.average(-np.log(np.clip(truth_probability(probabilities, targets), SMALLEST, 1.0)), weights=weights)
    )


def truth_probability(probabilities: Floats, targets: Floats) -> Floats:
    """What the model gives to the truth of each label [N, C]."""
    return np.where(targets > 0, probabilities, 1.0 - probabilities)


def calibration_error(probabilities: Floats, targets: Floats) -> float:
    """Mean gap between a label's probability and how often it is there, over 15 equal-width bins of all labels."""
    flat, there = probabilities.ravel(), (targets > 0).ravel()
    bins = np.clip(np.ceil(flat * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    return float(np.abs(np.bincount(bins, weights=there - flat, minlength=ECE_BINS)).sum() / len(flat))


def label_counts(present: Marks, targets: Floats) -> npt.NDArray[np.int64]:
    """Counts [C, 4] of each label: absent and said so, false alarms, misses, finds."""
    truth = targets > 0
    return np.stack(
        [
            (~present & ~truth).sum(axis=0),
            (present & ~truth).sum(axis=0),
            (~present & truth).sum(axis=0),
            (present & truth).sum(axis=0),
        ],
        axis=1,
    ).astype(np.int64)


def label_tables(
    probabilities: Floats, targets: Floats, class_names: Sequence[str], thresholds: Sequence[float], present: Marks
) -> tuple[tuple[ClassScore, ...], tuple[LabelConfusion, ...]]:
    """What people read of each label: its scores, and its decisions counted."""
    counts = label_counts(present, targets)
    precisions = average_precisions(probabilities, targets)
    f1 = _f1(counts)
    scores, tables = [], []
    for place, name in enumerate(class_names):
        rest, alarms, misses, finds = (int(count) for count in counts[place])
        scores.append(
            ClassScore(
                label=name,
                precision=finds / (finds + alarms) if finds + alarms else 0.0,
                recall=finds / (finds + misses) if finds + misses else 0.0,
                f1=float(f1[place]),
                support=finds + misses,
                threshold=round(float(thresholds[place]), 6),
                average_precision=None if np.isnan(precisions[place]) else float(precisions[place]),
            )
        )
        tables.append(LabelConfusion(label=name, matrix=((rest, alarms), (misses, finds))))
    return tuple(scores), tuple(tables)


def _decided(probabilities: Floats, targets: Floats, present: Marks | None) -> Marks:
    return held_out_decisions(probabilities, targets) if present is None else present


def _f1(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    whole = counts[:, 1] + counts[:, 2] + 2 * counts[:, 3]
    return np.asarray(np.divide(2 * counts[:, 3], whole, out=np.zeros(len(counts)), where=whole > 0))


def _average_precision(probabilities: Floats, present: Marks) -> float:
    positives = int(present.sum())
    if not positives:
        return float("nan")
    order = np.argsort(-probabilities, kind="stable")
    falling, there = probabilities[order], present[order]
    ends = np.append(falling[:-1] > falling[1:], True)
    found = np.cumsum(there)[ends]
    precision = found / (np.flatnonzero(ends) + 1)
    return float((np.diff(found, prepend=0) * precision).sum() / positives)
