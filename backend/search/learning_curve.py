"""The learning curve: what a head scores that learned from a quarter, a half, three quarters and all of the images.

It answers "would more pictures help?" for the linear head on these features, at a few fits' cost. A network trained
whole may gain more from more pictures than its last layer does. It knows features, not pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from backend.contracts import LearningCurvePoint, RunControl
from backend.data.imbalance import is_imbalanced
from backend.data.targets import Targets, images_by_class, is_multilabel, strata
from backend.engine.linear import fit_linear, grouped_folds, predict_linear
from backend.engine.metrics import macro_f1, mean_average_precision, right_answers, wilson_interval

if TYPE_CHECKING:
    from backend.engine.probe import HeadPlan, LinearHead

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

SHARES = (0.25, 0.5, 0.75, 1.0)
MOST_IMAGES = 2000  # more are sampled down to these: with 10 classes the curve then takes 6 s of one core
MANY_IMAGES, FEW_FOLDS = 1000, 2  # from so many images on two folds hold out enough of them
BOOTSTRAPS = 50
SMALL_GAIN = 0.005  # half a point is nothing to collect pictures for, however sure


def learning_curve(
    features: Floats,
    targets: Targets,
    *,
    num_classes: int,
    head: LinearHead,
    plan: HeadPlan,
    control: RunControl | None = None,
) -> tuple[LearningCurvePoint, ...]:
    """Cross-validated scores of heads on features [N, D] and targets [N] by how many images they learned from.

    `head` was fitted on these very images by `plan`: its strength is that of all heads here, its out-of-fold answers
    are those of the full share, so that the dearest fits need not be done again. Each smaller share lies within the
    larger ones, and all are judged on the same held-out images, so that the points differ by the pictures alone.

    Raises:
        ValueError: features, targets and the head's answers are not of the same images.
        JobCancelled: through `control`, between fits.
    """
    if not len(features) == len(targets) == len(head.out_of_fold):
        raise ValueError(f"{len(features)} features, {len(targets)} targets, {len(head.out_of_fold)} answers")
    control = control or RunControl()
    full: Floats | None = head.out_of_fold
    if len(targets) > MOST_IMAGES:
        kept = _share(targets, np.arange(len(targets)), share=MOST_IMAGES / len(targets), seed=plan.seed)
        groups = None if plan.groups is None else plan.groups[kept]
        features, targets, plan, full = features[kept], targets[kept], replace(plan, groups=groups), None
    balanced = is_imbalanced(images_by_class(targets, num_classes)) if plan.balanced is None else plan.balanced
    fit = partial(fit_linear, num_classes=num_classes, strength=head.regularisation, balanced=balanced)
    answers: dict[float, list[Floats]] = {share: [] for share in SHARES}
    learned: dict[float, list[int]] = {share: [] for share in SHARES}
    judged: list[Ints] = []
    for learn, held_out in _folds(targets, plan):
        judged.append(targets[held_out])
        for share in SHARES:
            control.check()
            some = _share(targets, learn, share=share, seed=plan.seed)
            learned[share].append(len(some))
            if share == 1 and full is not None:
                answers[share].append(full[held_out])
            else:
                answers[share].append(predict_linear(fit(features[some], targets[some]), features[held_out], head.task))
    truth = np.concatenate(judged)
    return tuple(_point(np.concatenate(answers[share]), truth, images=learned[share]) for share in SHARES)


def advice(points: Sequence[LearningCurvePoint]) -> str:
    """One sentence: would more pictures help? Empty without a curve. Of several labels by mean average precision.

    A gain counts where it is beyond half the width of the last score's 95% interval. As all points answer for the same
    images their differences are surer than that: the sentence rather calls a small gain noise than noise a gain.
    """
    if len(points) < 2:
        return ""
    half, last = points[len(points) // 2 - 1], points[-1]
    several = last.mean_average_precision is not None
    scores = [one.mean_average_precision or 0.0 if several else one.accuracy for one in points]
    gain, step = scores[-1] - scores[len(points) // 2 - 1], scores[-1] - scores[-2]
    noise = last.noise if several and last.noise else (last.accuracy_ci95[1] - last.accuracy_ci95[0]) / 2
    span = f"from {half.train_images} to {last.train_images} training images"
    name = "mean average precision" if several else "accuracy"
    figures = f"{name} changed by {100 * gain:+.1f} points {span} (noise: {100 * noise:.1f})"
    if gain > max(noise, SMALL_GAIN) and step > 0:
        return f"More pictures would probably help: {figures}, the last quarter by {100 * step:+.1f}."
    if gain > max(noise, SMALL_GAIN):
        return f"More pictures helped until lately: {figures}, but the last quarter by {100 * step:+.1f}."
    if gain > SMALL_GAIN:
        return f"More pictures may help a little: {figures}, which is within the noise."
    return f"No sign that more pictures of the same kind would help: {figures}."


def _folds(targets: Targets, plan: HeadPlan) -> list[tuple[Ints, Ints]]:
    folds = grouped_folds(targets, folds=plan.folds, seed=plan.seed, groups=plan.groups)
    return list(islice(folds, FEW_FOLDS if len(targets) >= MANY_IMAGES else None))


def _share(targets: Targets, places: Ints, *, share: float, seed: int) -> Ints:
    """A stratified share of some places, at least one of each class; a larger share holds all of a smaller one."""
    random = np.random.default_rng(seed)
    chosen = []
    stratum = strata(targets)[places]
    for number in np.unique(stratum):
        own = random.permutation(places[stratum == number])
        chosen.append(own[: max(1, round(share * len(own)))])
    return np.sort(np.concatenate(chosen))


def _point(answers: Floats, truth: Targets, *, images: Sequence[int]) -> LearningCurvePoint:
    right = right_answers(answers, truth)
    several = is_multilabel(truth)
    return LearningCurvePoint(
        train_images=round(float(np.mean(images))),
        accuracy=float(right.mean()),
        accuracy_ci95=wilson_interval(int(right.sum()), len(truth)),
        macro_f1=macro_f1(answers, truth),
        mean_average_precision=mean_average_precision(answers, truth) if several else None,
        noise=_noise(answers, truth) if several else None,
    )


def _noise(answers: Floats, truth: Targets) -> float:
    """Half the width of the 95% interval of the mean average precision, by bootstrap over images."""
    random = np.random.default_rng(0)
    drawn = (random.integers(0, len(truth), len(truth)) for _ in range(BOOTSTRAPS))
    return float(1.96 * np.std([mean_average_precision(answers[places], truth[places]) for places in drawn]))
