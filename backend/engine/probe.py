"""The linear head on frozen features: logistic regression, its strength of regularisation chosen by cross-validation.

It knows features and targets, not pictures. On few images this is hard to beat, and it takes seconds.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from backend.contracts import RunControl, Task
from backend.data.imbalance import is_imbalanced
from backend.data.targets import Targets, images_by_class, is_multilabel
from backend.engine.linear import (
    JUDGED_TOLERANCE,
    LinearPath,
    fit_linear,
    grouped_folds,
    predict_linear,
    sensible_folds,
)
from backend.engine.metrics import accuracy, log_loss
from backend.engine.network import Network
from backend.errors import DatasetError

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C; on 160 images all came within 2 points of each other
CHOOSING_IMAGES = 4000  # more do not change the choice of C, and cost len(STRENGTHS) x folds fits each
WORSE = 1.05  # times the least loss so far: beyond, weaker regularisation has never been seen to catch up
SOLVE_FOLDS = 3  # a start needs no finer choice


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadPlan:
    """How a head is fitted and judged.

    Attributes:
        folds: of the cross-validation; from 20,000 images on, three at most.
        balanced: whether every class has the same say; None: where the largest has over 3 times the smallest's images.
        groups: [N]; images of one number are never on both sides of a fold. None: each image for itself.
    """

    folds: int = 5
    seed: int = 42
    balanced: bool | None = None
    groups: Ints | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearHead:
    """A solved head.

    Attributes:
        weight, bias: [C, D] and [C]; they act on plain features, the standardisation is folded in.
        regularisation: the chosen C, as scikit-learn's LogisticRegression has it; smaller is stronger.
        cv_accuracy: share of images that are right out of fold.
        out_of_fold: [N, C] probabilities, each by a head that did not learn from that image.
        task: whether an image has one class, or any number of labels.
    """

    weight: Floats
    bias: Floats
    regularisation: float
    cv_accuracy: float
    out_of_fold: Floats
    task: Task = "multiclass"

    def probabilities(self, features: Floats) -> Floats:
        """Class probabilities [N, C] for features [N, D]."""
        return predict_linear((self.weight, self.bias), features, self.task)


def fit_probe(
    features: Floats,
    targets: Targets,
    *,
    num_classes: int,
    plan: HeadPlan | None = None,
    control: RunControl | None = None,
) -> LinearHead:
    """Fit a linear head on features [N, D] and class indices [N], or labels [N, C].

    C is the one with the smallest out-of-fold log-loss: it moves smoothly where accuracy, on few images, jumps.

    Raises:
        DatasetError: a class has fewer than two images, so that none can be held out.
        JobCancelled: through `control`, between fits.
    """
    control = control or RunControl()
    problem = _pose(features, targets, num_classes, plan or HeadPlan())
    strength, out_of_fold = _choose_strength(problem, control=control)
    control.check()
    weight, bias = problem.fit(strength)
    return LinearHead(
        weight=weight,
        bias=bias,
        regularisation=strength,
        cv_accuracy=accuracy(out_of_fold, problem.targets),
        out_of_fold=out_of_fold,
        task=problem.task,
    )


def solve_head(
    network: Network,
    features: Floats,
    targets: Targets,
    *,
    plan: HeadPlan | None = None,
    control: RunControl | None = None,
) -> None:
    """Fit a head and install it, without the out-of-fold answers that `fit_probe` gives: a fine-tune's good start.

    Raises:
        DatasetError: a class has fewer than two images.
        JobCancelled: through `control`, between fits.
    """
    plan = replace(plan or HeadPlan(), folds=SOLVE_FOLDS)
    problem = _pose(features, targets, network.num_classes, plan)
    strength, _ = _choose_strength(problem, control=control or RunControl())
    copy_head(network, *problem.fit(strength))


def install_head(network: Network, head: LinearHead) -> None:
    """Copy a solved head into the network's classifier, so that the network alone gives the same answers.

    Raises:
        ValueError: the head is for another number of classes or features.
    """
    copy_head(network, head.weight, head.bias)


def copy_head(network: Network, weight: Floats, bias: Floats) -> None:
    """Copy a weight [C, D] and a bias [C] into the network's classifier.

    Raises:
        ValueError: they are for another number of classes or features.
    """
    classifier = network.head
    if tuple(weight.shape) != tuple(classifier.weight.shape):
        raise ValueError(f"a head {weight.shape} does not fit a classifier {tuple(classifier.weight.shape)}")
    with torch.no_grad():
        classifier.weight.copy_(torch.from_numpy(weight))
        classifier.bias.copy_(torch.from_numpy(bias))


def _pose(features: Floats, targets: Targets, num_classes: int, plan: HeadPlan) -> _Problem:
    several = is_multilabel(targets)
    targets = np.asarray(targets, dtype=np.float32 if several else np.int64)
    counts = images_by_class(targets, num_classes)
    if len(counts) > num_classes or counts.min() < 2:
        raise DatasetError(
            f"Class number {int(counts.argmin())} has {int(counts.min())} images to learn from; each class needs at "
            "least 2. Add images or leave the class out."
        )
    if plan.balanced is None:
        # rare labels have thresholds of their own; weights would only spoil what probabilities mean
        plan = replace(plan, balanced=not several and is_imbalanced(counts))
    return _Problem(features, targets, num_classes, replace(plan, folds=sensible_folds(len(targets), plan.folds)))


@dataclass(frozen=True, slots=True)
class _Problem:
    """Features, targets, and how heads are fitted on them."""

    features: Floats
    targets: Targets
    num_classes: int
    plan: HeadPlan

    @property
    def task(self) -> Task:
        return "multilabel" if is_multilabel(self.targets) else "multiclass"

    @property
    def balanced(self) -> bool:
        return bool(self.plan.balanced)

    def fit(self, strength: float) -> tuple[Floats, Floats]:
        return fit_linear(
            self.features, self.targets, num_classes=self.num_classes, strength=strength, balanced=self.balanced
        )

    def out_of_fold(self, strengths: Sequence[float], *, control: RunControl) -> Iterator[Floats]:
        """For each strength in turn, probabilities [N, C] by heads that did not learn from the image."""
        plan = self.plan
        folds = list(grouped_folds(self.targets, folds=plan.folds, seed=plan.seed, groups=plan.groups))
        paths: dict[int, LinearPath] = {}
        for strength in strengths:
            out = np.zeros((len(self.targets), self.num_classes))
            for number, (learn, held_out) in enumerate(folds):
                control.check()
                path = paths.pop(number, None) or self._judged(learn)
                out[held_out] = predict_linear(path.fit(strength), self.features[held_out], self.task)
                if len(strengths) > 1:  # each holds a copy of its rows: 340 MB of 100,000 images
                    paths[number] = path
            yield out

    def _judged(self, learn: Ints) -> LinearPath:
        return LinearPath(
            self.features[learn],
            self.targets[learn],
            num_classes=self.num_classes,
            balanced=self.balanced,
            tolerance=JUDGED_TOLERANCE,
        )

    def weights(self) -> Floats | None:
        """How much each image counts in a score [N], or [N, C]: where every class has the same say; else None."""
        if not self.balanced:
            return None
        if self.task == "multilabel":
            shares = np.clip(self.targets.mean(axis=0), 1e-9, 1 - 1e-9)
            return np.asarray(np.where(self.targets > 0, 0.5 / shares, 0.5 / (1 - shares)))
        return 1.0 / np.bincount(self.targets, minlength=self.num_classes)[self.targets]

    def sample(self, count: int) -> _Problem:
        """About `count` of the images, each class with its share."""
        parts = grouped_folds(self.targets, folds=-(-len(self.targets) // count), seed=self.plan.seed)
        places = next(parts)[1]
        groups = None if self.plan.groups is None else self.plan.groups[places]
        return _Problem(
            self.features[places], self.targets[places], self.num_classes, replace(self.plan, groups=groups)
        )


def _choose_strength(problem: _Problem, *, control: RunControl) -> tuple[float, Floats]:
    """The best strength, and the out-of-fold probabilities [N, C] that it gives.

    From the strongest regularisation on, until weaker ones only lose: those take the longest to solve.
    """
    sampled = len(problem.targets) > CHOOSING_IMAGES
    judged = problem.sample(CHOOSING_IMAGES) if sampled else problem
    best, least = STRENGTHS[0], math.inf
    chosen: Floats = np.zeros(0)
    for strength, rows in zip(STRENGTHS, judged.out_of_fold(STRENGTHS, control=control), strict=True):
        loss = log_loss(rows, judged.targets, weights=judged.weights())
        if loss < least:
            best, chosen, least = strength, rows, loss
        elif loss > WORSE * least:
            break
    log.debug("regularisation chosen", extra={"loss": least, "chosen": best})
    if sampled:
        return best, next(problem.out_of_fold((best,), control=control))
    return best, chosen
