"""Logistic regression on features: the fit itself, and the folds that judge it. It knows no network.

Multinomial where targets are class indices [N]; where they are a label matrix [N, C], one regression for each label.

`strength` and the class weights mean what scikit-learn's `LogisticRegression` means by them, and the answers are the
same; how the problem is posed is ours, so that a fit takes hundredths of a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
import numpy.typing as npt

from backend.contracts import Task
from backend.data.iterative import Demand, stratify
from backend.data.targets import Targets, is_multilabel, strata
from backend.engine.activation import activate_array
from backend.engine.sigmoid_solver import SigmoidSolver
from backend.engine.softmax_solver import Components, SoftmaxSolver, principal_components

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
UNSEEN = -1e3  # score of a class that a fold has not seen: as good as impossible
LARGE_GROUP = 0.25  # of a fold; beyond, dealing groups out in turn leaves folds uneven
LARGE_FOLDS, LARGE_FROM = 3, 20_000  # images; a held-out third of so many is no less sure than a fifth


def fit_linear(
    features: Floats, targets: Targets, *, num_classes: int, strength: float, balanced: bool = False
) -> Head:
    """Fit one head on features [N, D] and class indices [N], or labels [N, C].

    `strength` is scikit-learn's C: smaller is stronger regularisation. `balanced` gives every class the same say, of
    labels the images with one as much as those without.

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
        targets: Targets,
        *,
        num_classes: int,
        balanced: bool = False,
        tolerance: float = TOLERANCE,
    ) -> None:
        rows: Floats = np.array(features, dtype=np.float64 if len(features) < SINGLE_PRECISION_FROM else np.float32)
        self._mean, self._scale = rows.mean(axis=0, dtype=np.float64), _scale(rows)
        rows -= self._mean
        rows /= self._scale
        self._num_classes = num_classes
        with one_thread():
            components = principal_components(rows)
        self._basis = components.basis
        self._unseen = UNSEEN
        self._solver: SoftmaxSolver | SigmoidSolver | None
        if is_multilabel(targets):
            self._classes, self._solver = _by_labels(components, targets, balanced=balanced, tolerance=tolerance)
            self._unseen = np.log((targets.sum(axis=0) + 0.5) / (len(targets) - targets.sum(axis=0) + 0.5))
            return
        self._classes, indices, counts = np.unique(targets, return_inverse=True, return_counts=True)
        said = (len(targets) / (len(counts) * counts))[indices] if balanced else np.ones(len(targets))
        self._solver = SoftmaxSolver(
            components, indices, num_classes=len(self._classes), counts=said, tolerance=tolerance
        )

    def fit(self, strength: float) -> Head:
        """Weight [C, D] and bias [C] for one strength; they act on plain features."""
        if self._solver is None:  # no label is on some images and not on others
            return np.zeros((self._num_classes, len(self._mean))), np.asarray(self._unseen, dtype=np.float64)
        with one_thread():
            found = self._solver.solve(strength)
        full_bias = np.full(self._num_classes, self._unseen, dtype=np.float64)
        weight, bias = _every_class(found[:-1].T @ self._basis, found[-1], self._classes, full_bias)
        weight = weight / self._scale
        return weight, bias - weight @ self._mean


def _by_labels(
    components: Components, targets: Targets, *, balanced: bool, tolerance: float
) -> tuple[Ints, SigmoidSolver | None]:
    """Labels that are on some images and not on others, and who solves them."""
    positives = targets.sum(axis=0)
    known = np.flatnonzero((positives > 0) & (positives < len(targets)))
    if not len(known):
        return known, None
    chosen = np.asarray(targets[:, known], dtype=np.float64)
    counts = np.ones(chosen.shape)
    if balanced:
        here = chosen.sum(axis=0)
        counts = np.where(chosen > 0, len(chosen) / (2 * here), len(chosen) / (2 * (len(chosen) - here)))
    return known, SigmoidSolver(components, chosen, counts=counts, tolerance=tolerance)


def one_thread() -> AbstractContextManager[object]:
    """Linear algebra on one thread, for the while.

    The solver takes thousands of small steps, and two threads that wait for each other at every one took 30-80 times
    as long (1.7-6 s instead of 0.06-0.12 s a fit) once another process wanted a core.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(limits=1)  # type: ignore[no-any-return]


def predict_linear(head: Head, features: Floats, task: Task = "multiclass") -> Floats:
    """Probabilities [N, C] of a head (weight, bias) for features [N, D]."""
    weight, bias = head
    return activate_array(features.astype(np.float64) @ weight.T + bias, task)


def grouped_folds(
    targets: Targets, *, folds: int, seed: int, groups: Ints | None = None
) -> Iterator[tuple[Ints, Ints]]:
    """Stratified folds as (learn, held out) places. Each class is shuffled and dealt out in turn, however small it is.

    Images of several labels are dealt out by the rarest of theirs. `groups` [N] keeps what belongs together in one
    fold, such as copies of one picture: a group is dealt where its first image falls; large ones, such as all images of
    a board, so that every fold gets its share.
    """
    if groups is not None and np.unique(groups, return_counts=True)[1].max() > LARGE_GROUP * len(targets) / folds:
        fold_of = _dealt_groups(targets, groups, folds=folds, seed=seed)
        for fold in np.unique(fold_of):
            yield np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        return
    targets = strata(targets)
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


def _dealt_groups(targets: Targets, groups: Ints, *, folds: int, seed: int) -> Ints:
    """The fold [N] of each image where groups are large: as even in images and labels as the groups allow."""
    numbers, member = np.unique(groups, return_inverse=True)
    rows = targets if is_multilabel(targets) else np.eye(int(targets.max()) + 1)[targets]
    units = np.zeros((len(numbers), rows.shape[1] + 1))
    np.add.at(units, member, np.hstack([rows, np.ones((len(rows), 1))]))
    folds = min(folds, len(numbers))
    want = np.tile(units.sum(axis=0) / folds, (folds, 1))
    demand = Demand(have=np.zeros_like(want), want=want, open=np.ones(folds, dtype=bool))
    return np.asarray(stratify(units, demand, seed=str(seed))[member])


def sensible_folds(images: int, folds: int) -> int:
    """Fewer folds where there are so many images that more would only cost time."""
    return min(folds, LARGE_FOLDS) if images >= LARGE_FROM else folds


def _scale(features: Floats) -> Floats:
    """Standard deviation of each feature, kept off zero."""
    spread = features.std(axis=0)
    least = LEAST_RELATIVE_SCALE * spread.mean()
    return np.asarray(np.maximum(spread, least if least > 0 else 1.0))


def _every_class(weight: Floats, bias: Floats, classes: Ints, unseen: Floats) -> Head:
    """One row a class: one that this fold has not seen has the bias `unseen` [C] alone; the final fit sees all."""
    if len(classes) == len(unseen):
        return weight, bias
    full_weight = np.zeros((len(unseen), weight.shape[1]))
    full_weight[classes], unseen[classes] = weight, bias
    return full_weight, unseen
