"""Multinomial logistic regression on features: the fit itself, and the folds that judge it. It knows no network.

`strength` and the class weights mean what scikit-learn's `LogisticRegression` means by them, and the answers are the
same; how the problem is posed is ours, so that a fit takes hundredths of a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
import numpy.typing as npt

from backend.engine.softmax_solver import SoftmaxSolver, principal_components

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]
Head = tuple[Floats, Floats]  # weight [C, D] and bias [C]

# An unconverged head is a bad head: on an uneven set of six textures scikit-learn's macro-F1 was 0.680 at a tolerance
# of 1e-2, 0.932 at 1e-4. Ours acts on rescaled columns, and is at 1e-5 as near the optimum as scikit-learn at 1e-4.
TOLERANCE = 1e-6
JUDGED_TOLERANCE = 1e-5  # enough for heads that are only compared: probabilities within 0.001 of the optimum's
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
        rows: Floats = np.array(features, dtype=np.float64 if len(features) < SINGLE_PRECISION_FROM else np.float32)
        self._mean, self._scale = rows.mean(axis=0, dtype=np.float64), _scale(rows)
        rows -= self._mean
        rows /= self._scale
        self._classes, indices, counts = np.unique(targets, return_inverse=True, return_counts=True)
        self._num_classes = num_classes
        with one_thread():
            components = principal_components(rows)
        self._basis = components.basis
        said = (len(targets) / (len(counts) * counts))[indices] if balanced else np.ones(len(targets))
        self._solver = SoftmaxSolver(
            components, indices, num_classes=len(self._classes), counts=said, tolerance=tolerance
        )

    def fit(self, strength: float) -> Head:
        """Weight [C, D] and bias [C] for one strength; they act on plain features."""
        with one_thread():
            found = self._solver.solve(strength)
        weight, bias = _every_class(found[:-1].T @ self._basis, found[-1], self._classes, self._num_classes)
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


def _every_class(weight: Floats, bias: Floats, classes: Ints, num_classes: int) -> Head:
    """One row a class: one that this fold has not seen is as good as impossible; the final fit sees all."""
    if len(classes) == num_classes:
        return weight, bias
    full_weight, full_bias = np.zeros((num_classes, weight.shape[1])), np.full(num_classes, -1e3)
    full_weight[classes], full_bias[classes] = weight, bias
    return full_weight, full_bias
