"""What a model card says of the scores: intervals, weak classes by name, frequent mistakes. Knows no HTML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backend.contracts import ClassScore, ConfusionMatrix, TestPredictions
from backend.engine.metrics import wilson_interval
from backend.errors import InputError, NotFoundError
from backend.storage.answers import read_answers

WEAK_F1 = 0.7
WEAK_BELOW_MEAN = 0.1  # of F1: as far below the mean of all classes
FEW = 10  # test pictures below which a class's score says little
RESAMPLED, SEED = 1000, 42
MOST_MISTAKES = 10

Interval = tuple[float, float]


def percent(share: float) -> str:
    return f"{share:.1%}"


def interval(bounds: Sequence[float] | None) -> str:
    return f"{bounds[0]:.1%} to {bounds[1]:.1%}" if bounds else ""


def recall_interval(score: ClassScore) -> Interval | None:
    """Of the share of a class's pictures that are found (Wilson); None where the test has none."""
    return wilson_interval(round(score.recall * score.support), score.support) if score.support else None


def macro_f1_interval(folder: Path) -> Interval | None:
    """95% of the mean F1, by drawing the test pictures anew a thousand times (bootstrap percentiles, Efron 1979).

    None where the model has no answers to single test pictures, or pictures may have several labels.
    """
    try:
        answers = read_answers(folder)
    except (NotFoundError, InputError):
        return None
    if answers.task == "multilabel" or not answers.images:
        return None
    return _bootstrapped(answers)


def _bootstrapped(answers: TestPredictions) -> Interval:
    place = {name: index for index, name in enumerate(answers.class_names)}
    classes = len(place)
    pairs = np.array([place[one.label] * classes + place[one.predicted] for one in answers.images])
    random = np.random.default_rng(SEED)
    scores = [_macro_f1(pairs[random.integers(0, len(pairs), len(pairs))], classes) for _ in range(RESAMPLED)]
    low, high = np.percentile(scores, (2.5, 97.5))
    return float(low), float(high)


def _macro_f1(pairs: npt.NDArray[np.int64], classes: int) -> float:
    counts = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    both = counts.sum(axis=0) + counts.sum(axis=1)
    occurs = both > 0
    return float((2 * np.diag(counts)[occurs] / both[occurs]).mean())


def weak_classes(per_class: Sequence[ClassScore], confusion: ConfusionMatrix | None) -> list[str]:
    """A sentence for each class that the model is bad at, the worst first."""
    judged = [score for score in per_class if score.support]
    if not judged:
        return []
    mean = sum(score.f1 for score in judged) / len(judged)
    weak = [score for score in judged if score.f1 < WEAK_F1 or score.f1 < mean - WEAK_BELOW_MEAN]
    return [_weakness(score, confusion) for score in sorted(weak, key=lambda score: score.f1)]


def hardly_judged(per_class: Sequence[ClassScore]) -> str:
    """Which classes have too few test pictures for their scores to mean much."""
    few = [f"'{score.label}' ({score.support})" for score in per_class if score.support < FEW]
    return f"Fewer than {FEW} test pictures, so that the scores say little: {', '.join(few)}." if few else ""


def frequent_mistakes(confusion: ConfusionMatrix) -> list[tuple[str, str, int]]:
    """Truth, answer and how often, the most frequent first."""
    found = [
        (confusion.labels[row], confusion.labels[column], count)
        for row, counts in enumerate(confusion.matrix)
        for column, count in enumerate(counts)
        if count and row != column
    ]
    return sorted(found, key=lambda mistake: -mistake[2])[:MOST_MISTAKES]


def _weakness(score: ClassScore, confusion: ConfusionMatrix | None) -> str:
    found = round(score.recall * score.support)
    bounds = recall_interval(score)
    sentence = f"'{score.label}': it finds {found} of {score.support}"
    sentence += f" ({interval(bounds)} with 95% confidence)" if bounds else ""
    sentence += f", and {percent(score.precision)} of what it calls so is right"
    mistaken = _mistaken_for(score.label, confusion)
    return f"{sentence}{mistaken}."


def _mistaken_for(label: str, confusion: ConfusionMatrix | None) -> str:
    if confusion is None or label not in confusion.labels:
        return ""
    own = confusion.labels.index(label)
    others = [(count, confusion.labels[at]) for at, count in enumerate(confusion.matrix[own]) if at != own and count]
    if not others:
        return ""
    count, other = max(others, key=lambda pair: pair[0])
    return f"; most often taken for '{other}' ({count})"
