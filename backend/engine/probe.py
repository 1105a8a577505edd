"""The linear head on frozen features: logistic regression, its strength of regularisation chosen by cross-validation.

It knows features and targets, not pictures. On few images this is hard to beat, and it takes seconds.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from backend.contracts import RunControl
from backend.data.imbalance import is_imbalanced
from backend.engine.metrics import accuracy, log_loss
from backend.engine.network import Network
from backend.errors import DatasetError

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C; on 160 images all came within 2 points of each other
CHOOSING_IMAGES = 4000  # more do not change the choice of C, and cost len(STRENGTHS) x folds fits each
MAX_STEPS = 1000
SOLVE_FOLDS = 3  # a start needs no finer choice
# Features that hardly ever move (a dead channel) would get a huge weight, and rounding would drive the answer.
LEAST_RELATIVE_SCALE = 1e-2


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearHead:
    """A solved head.

    Attributes:
        weight, bias: [C, D] and [C]; they act on plain features, the standardisation is folded in.
        regularisation: the chosen C of scikit-learn's LogisticRegression; smaller is stronger.
        cv_accuracy: share of images that are right out of fold.
        out_of_fold: [N, C] probabilities, each by a head that did not learn from that image.
    """

    weight: Floats
    bias: Floats
    regularisation: float
    cv_accuracy: float
    out_of_fold: Floats

    def probabilities(self, features: Floats) -> Floats:
        """Class probabilities [N, C] for features [N, D]."""
        return _softmax(features.astype(np.float64) @ self.weight.T + self.bias)


def fit_probe(
    features: Floats,
    targets: Ints,
    *,
    num_classes: int,
    folds: int = 5,
    seed: int = 42,
    control: RunControl | None = None,
) -> LinearHead:
    """Fit a linear head on features [N, D] and class indices [N].

    C is the one with the smallest out-of-fold log-loss: it moves smoothly where accuracy, on few images, jumps.

    Raises:
        DatasetError: a class has fewer than two images, so that none can be held out.
        JobCancelled: through `control`, between fits.
    """
    control = control or RunControl()
    problem = _pose(features, targets, num_classes)
    strength = _choose_strength(problem, folds=folds, seed=seed, control=control)
    out_of_fold = _out_of_fold(problem, strength, folds=folds, seed=seed, control=control)
    control.check()
    weight, bias = problem.fit(np.arange(len(problem.targets)), strength)
    return LinearHead(
        weight=weight,
        bias=bias,
        regularisation=strength,
        cv_accuracy=accuracy(out_of_fold, problem.targets),
        out_of_fold=out_of_fold,
    )


def solve_head(
    network: Network, features: Floats, targets: Ints, *, seed: int = 42, control: RunControl | None = None
) -> None:
    """Fit a head and install it, without the out-of-fold answers that `fit_probe` gives: a fine-tune's good start.

    Raises:
        DatasetError: a class has fewer than two images.
        JobCancelled: through `control`, between fits.
    """
    control = control or RunControl()
    problem = _pose(features, targets, network.num_classes)
    strength = _choose_strength(problem, folds=SOLVE_FOLDS, seed=seed, control=control)
    _copy_into(network, *problem.fit(np.arange(len(problem.targets)), strength))


def install_head(network: Network, head: LinearHead) -> None:
    """Copy a solved head into the network's classifier, so that the network alone gives the same answers.

    Raises:
        ValueError: the head is for another number of classes or features.
    """
    _copy_into(network, head.weight, head.bias)


def _copy_into(network: Network, weight: Floats, bias: Floats) -> None:
    classifier = network.head
    if tuple(weight.shape) != tuple(classifier.weight.shape):
        raise ValueError(f"a head {weight.shape} does not fit a classifier {tuple(classifier.weight.shape)}")
    with torch.no_grad():
        classifier.weight.copy_(torch.from_numpy(weight))
        classifier.bias.copy_(torch.from_numpy(bias))


def _pose(features: Floats, targets: Ints, num_classes: int) -> _Problem:
    targets = np.asarray(targets, dtype=np.int64)
    counts = np.bincount(targets, minlength=num_classes)
    if len(counts) > num_classes or counts.min() < 2:
        raise DatasetError(
            f"Class number {int(counts.argmin())} has {int(counts.min())} images to learn from; each class needs at "
            "least 2. Add images or leave the class out."
        )
    return _Problem(features, targets, num_classes, balanced=is_imbalanced(counts))


@dataclass(frozen=True, slots=True)
class _Problem:
    """Features, targets, and how one head is fitted on some of them."""

    features: Floats
    targets: Ints
    num_classes: int
    balanced: bool

    def fit(self, places: Ints, strength: float) -> tuple[Floats, Floats]:
        """Weight [C, D] and bias [C] on plain features, learned from the images at `places`."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        chosen = self.features[places].astype(np.float64)
        mean, scale = chosen.mean(axis=0), _scale(chosen)
        model = LogisticRegression(
            C=strength, tol=1e-4, max_iter=MAX_STEPS, class_weight="balanced" if self.balanced else None
        )
        # One thread: the solver takes thousands of small steps, and two threads that wait for each other at every one
        # took 30-80 times as long (1.7-6 s instead of 0.06-0.12 s a fit) once another process wanted a core.
        with warnings.catch_warnings(), threadpool_limits(limits=1):
            # a head that is near its optimum after 1,000 steps is good enough to use
            warnings.simplefilter("ignore", ConvergenceWarning)
            rows, basis = _compact((chosen - mean) / scale)
            model.fit(rows, self.targets[places])
        coefficients = model.coef_ if basis is None else model.coef_ @ basis
        weight, bias = _every_class(coefficients, model.intercept_, model.classes_, num_classes=self.num_classes)
        weight = weight / scale
        return weight, bias - weight @ mean

    def weights(self) -> Floats | None:
        """How much each image counts in a score [N]: where classes are uneven, every class alike; else None."""
        if not self.balanced:
            return None
        return 1.0 / np.bincount(self.targets, minlength=self.num_classes)[self.targets]

    def subset(self, places: Ints) -> _Problem:
        return _Problem(self.features[places], self.targets[places], self.num_classes, self.balanced)


def _scale(features: Floats) -> Floats:
    """Standard deviation of each feature, kept off zero."""
    spread = features.std(axis=0)
    least = LEAST_RELATIVE_SCALE * spread.mean()
    return np.asarray(np.maximum(spread, least if least > 0 else 1.0))


def _compact(features: Floats) -> tuple[Floats, Floats | None]:
    """Fewer columns where there are more features than images: [N, D] to [N, R] and the basis [R, D] that leads back.

    An L2-regularised solution lies in the span of the images (representer theorem), so nothing is lost; a fit on 160
    images of 1,280 features takes half the time.
    """
    if features.shape[0] >= features.shape[1]:
        return features, None
    left, singular, basis = np.linalg.svd(features, full_matrices=False)
    return left * singular, basis


def _every_class(weight: Floats, bias: Floats, classes: Ints, *, num_classes: int) -> tuple[Floats, Floats]:
    """One row a class. Two classes come as one row z: the softmax of (-z/2, z/2) is the same as its sigmoid."""
    if len(weight) == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    if len(classes) == num_classes:
        return weight, bias
    # a class that this fold has not seen is as good as impossible; the final fit sees all
    full_weight, full_bias = np.zeros((num_classes, weight.shape[1])), np.full(num_classes, -1e3)
    full_weight[classes], full_bias[classes] = weight, bias
    return full_weight, full_bias


def _choose_strength(problem: _Problem, *, folds: int, seed: int, control: RunControl) -> float:
    if len(problem.targets) > CHOOSING_IMAGES:
        groups = -(-len(problem.targets) // CHOOSING_IMAGES)
        problem = problem.subset(next(_folds(problem.targets, folds=groups, seed=seed))[1])
    losses = {}
    for strength in STRENGTHS:
        held_out = _out_of_fold(problem, strength, folds=folds, seed=seed, control=control)
        losses[strength] = log_loss(held_out, problem.targets, weights=problem.weights())
    best = min(losses, key=lambda strength: losses[strength])
    log.debug("regularisation chosen", extra={"losses": losses, "chosen": best})
    return best


def _out_of_fold(problem: _Problem, strength: float, *, folds: int, seed: int, control: RunControl) -> Floats:
    out = np.zeros((len(problem.targets), problem.num_classes))
    for learn, held_out in _folds(problem.targets, folds=folds, seed=seed):
        control.check()
        weight, bias = problem.fit(learn, strength)
        out[held_out] = _softmax(problem.features[held_out].astype(np.float64) @ weight.T + bias)
    return out


def _folds(targets: Ints, *, folds: int, seed: int) -> Iterator[tuple[Ints, Ints]]:
    """Stratified folds as (learn, held out). Each class is shuffled and dealt out in turn, however small it is."""
    random = np.random.default_rng(seed)
    fold_of = np.zeros(len(targets), dtype=np.int64)
    dealt = 0
    for target in np.unique(targets):
        places = random.permutation(np.flatnonzero(targets == target))
        fold_of[places] = (np.arange(len(places)) + dealt) % folds
        dealt += len(places)  # small classes do not all begin with the first fold
    for fold in np.unique(fold_of):
        yield np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]
