"""The ranking: trials in, rows out. Pure arithmetic; it knows neither networks nor files.

Every candidate is ranked on the same images, none of which its model had learned from. Test scores are filled in
afterwards, for a ranking that can no longer change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from backend.contracts import LeaderboardRow, RankBy
from backend.data.imbalance import is_imbalanced
from backend.data.targets import Targets, is_multilabel
from backend.engine.metrics import accuracy, evaluate, log_loss, macro_f1, mean_average_precision, score_by
from backend.engine.thresholds import tune_thresholds
from backend.search.ties import is_tie
from backend.search.trial import Trial

Floats = npt.NDArray[np.floating]
SCORE_NAMES: Final[dict[RankBy, str]] = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "mean_average_precision": "mean average precision",
}


def ranking_metric(class_counts: Sequence[int]) -> RankBy:
    """macro_f1 where the classes are uneven, because accuracy rewards ignoring rare ones; else accuracy."""
    return "macro_f1" if is_imbalanced(class_counts) else "accuracy"


def rank(trials: Sequence[Trial], targets: Targets, *, by: RankBy) -> list[Trial]:
    """Order trials, best first; unfinished ones last, in the order they came.

    Ties of the score (common on few images) go to the smaller log-loss, then to the network before the baseline.
    """

    def key(trial: Trial) -> tuple[int, float, bool, float]:
        if trial.status != "ok" or trial.held_out is None:
            return (1, 0.0, False, 0.0)
        score = score_by(by)(trial.held_out, targets)
        return (0, -round(score, 9), trial.strategy == "baseline", log_loss(trial.held_out, targets))

    return sorted(trials, key=key)


def rows(
    ranked: Sequence[Trial],
    *,
    held_out_targets: Targets,
    test_targets: Targets,
    targets_of: Callable[[Trial], Targets],
) -> list[LeaderboardRow]:
    """Turn ranked trials into rows, reading the test targets once.

    `held_out_targets` are those of the images that ranked all; `targets_of` gives those of a trial's own, which are
    fewer where it was stopped early.
    """
    best = next((trial.held_out for trial in ranked if trial.usable), None)
    found = []
    for place, trial in enumerate(ranked, start=1):
        row = _row(trial, place, held_out_targets=targets_of(trial), test_targets=test_targets)
        tied = row.rank is not None and trial.strategy != "baseline" and best is not None and trial.held_out is not best
        if tied and trial.held_out is not None and best is not None:
            row = row.model_copy(update={"tie": is_tie(trial.held_out, best, held_out_targets)})
        found.append(row)
    return found


def preview(trial: Trial, held_out_targets: Targets) -> LeaderboardRow:
    """The row of a trial before the ranking stands: everything but rank and test scores."""
    baseline = trial.strategy == "baseline"
    return LeaderboardRow(
        name=trial.candidate.name,
        timm_name=None if baseline else trial.candidate.timm_name,
        weights=None if baseline else trial.candidate.weights,
        weights_source=trial.candidate.weights_source,
        strategy=trial.strategy,
        status=trial.status,
        reason=trial.reason,
        tried=trial.tried,
        train_images=trial.train_images,
        parameters=trial.parameters,
        trainable_parameters=trial.trainable,
        size_mb=trial.size_mb,
        train_seconds=round(trial.train_seconds, 3),
        predict_ms_per_image=trial.predict_ms_per_image,
        val_accuracy=accuracy(trial.held_out, held_out_targets) if trial.held_out is not None else None,
        val_macro_f1=macro_f1(trial.held_out, held_out_targets) if trial.held_out is not None else None,
        val_mean_average_precision=mean_average_precision(trial.held_out, held_out_targets)
        if trial.held_out is not None and is_multilabel(held_out_targets)
        else None,
    )


def thresholds_of(held_out: Floats, targets: Targets) -> tuple[float, ...] | None:
    """From which probability on each label is present, by held-out answers; None where an image has one class."""
    return tune_thresholds(held_out, targets) if is_multilabel(targets) else None


def _row(trial: Trial, place: int, *, held_out_targets: Targets, test_targets: Targets) -> LeaderboardRow:
    row = preview(trial, held_out_targets)
    if trial.status != "ok" or trial.held_out is None or trial.test_probabilities is None:
        return row
    names = [str(index) for index in range(trial.test_probabilities.shape[1])]
    thresholds = thresholds_of(trial.held_out, held_out_targets)
    test = evaluate(trial.test_probabilities, test_targets, names, thresholds=thresholds).test
    return row.model_copy(
        update={
            "rank": place,
            "accuracy": test.accuracy,
            "accuracy_ci95": test.accuracy_ci95,
            "macro_f1": test.macro_f1,
            "mean_average_precision": test.mean_average_precision,
        }
    )
