"""Multinomial logistic regression on features: the fit itself, and the folds that judge it. It knows no network.

scikit-learn solves it; what is ours is how the problem is posed, so that a fit takes hundredths of a second.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]
Head = tuple[Floats, Floats]  # weight [C, D] and bias [C]

MAX_STEPS = 1000
# An unconverged head is a bad head: on an uneven set of six textures macro-F1 was 0.680 at 1e-2, 0.932 at 1e-4. A start
# from the solution before it ends a tenth sooner than it should; 1e-5 makes up for that.
TOLERANCE = 1e-5
JUDGED_TOLERANCE = 1e-4  # enough for heads that are only compared; on features of untrained networks twice as quick
# Features that hardly ever move (a dead channel) would get a huge weight, and rounding would drive the answer.
LEAST_RELATIVE_SCALE = 1e-2
SINGLE_PRECISION_FROM = 5000  # images; above, memory matters more than digits that the features never had
LARGE_FOLDS, LARGE_FROM = 3, 20_000  # images; a held-out third of so many is no less sure than a fifth


def fit_linear(features: Floats, targets: Ints, *, num_classes: int, strength: float, balanced: bool = False) -> Head:
    """Fit one head on features [N, D] and class indices [N].

    `strength` is scikit-learn's C: smaller is stronger regularisation. `balanced` gives every class the same say.

    Returns:
        Weight [C, D] and bias [C]; they act on plain features, the standardisation is folded in.
    """
    return LinearPath(features, targets, num_classes=num_classes, balanced=balanced).fit(strength)


class LinearPath:
    """Heads of several strengths on the same features, which are prepared once; each start is the solution before it.

    From strong to weak regularisation that takes a fifth of the time of separate fits, and ends at the same heads.
    """

    def __init__(
        self,
        features: Floats,
        targets: Ints,
        *,
        num_classes: int,
        balanced: bool = False,
        tolerance: float = TOLERANCE,
    ) -> None:
        from sklearn.linear_model import LogisticRegression

        rows: Floats = np.array(features, dtype=np.float64 if len(features) < SINGLE_PRECISION_FROM else np.float32)
        self._mean, self._scale = rows.mean(axis=0, dtype=np.float64), _scale(rows)
        rows -= self._mean
        rows /= self._scale
        with one_thread():
            self._rows, self._basis = _compact(rows)
        self._targets = targets
        self._num_classes = num_classes
        self._model = LogisticRegression(
            tol=tolerance, max_iter=MAX_STEPS, class_weight="balanced" if balanced else None, warm_start=True
        )

    def fit(self, strength: float) -> Head:
        """Weight [C, D] and bias [C] for one strength; they act on plain features."""
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings(), one_thread():
            # a head that is near its optimum after 1,000 steps is good enough to use
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = self._model.set_params(C=strength).fit(self._rows, self._targets)
        coefficients = model.coef_ if self._basis is None else model.coef_ @ self._basis
        weight, bias = _every_class(coefficients, model.intercept_, model.classes_, num_classes=self._num_classes)
        weight = weight / self._scale
        return weight, bias - weight @ self._mean


def one_thread() -> AbstractContextManager[object]:
    """Linear algebra on one thread, for the while.

    The solver takes thousands of small steps, and two threads that wait for each other at every one took 30-80 times
    as long (1.7-6 s instead of 0.06-0.12 s a fit) once another process wanted a core.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(limits=1)  # type: ignore[no-any-return]


def predict_linear(head: Head, features: Floats) -> Floats:
    """Class probabilities [N, C] of a head (weight, bias) for features [N, D]."""
    weight, bias = head
    scores = features.astype(np.float64) @ weight.T + bias
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def grouped_folds(targets: Ints, *, folds: int, seed: int, groups: Ints | None = None) -> Iterator[tuple[Ints, Ints]]:
    """Stratified folds as (learn, held out) places. Each class is shuffled and dealt out in turn, however small it is.

    `groups` [N] keeps what belongs together in one fold, such as copies of one picture: a group is dealt where its
    first image falls.
    """
    random = np.random.default_rng(seed)
    fold_of = np.zeros(len(targets), dtype=np.int64)
    dealt = 0
    for target in np.unique(targets):
        places = random.permutation(np.flatnonzero(targets == target))
        fold_of[places] = (np.arange(len(places)) + dealt) % folds
        dealt += len(places)  # small classes do not all begin with the first fold
    if groups is not None:
        _, first, member = np.unique(groups, return_index=True, return_inverse=True)
        fold_of = fold_of[first][member]
    for fold in np.unique(fold_of):
        yield np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)


def sensible_folds(images: int, folds: int) -> int:
    """Fewer folds where there are so many images that more would only cost time."""
    return min(folds, LARGE_FOLDS) if images >= LARGE_FROM else folds


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
