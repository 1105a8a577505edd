"""What copies in both training and test would do to the score, and what they do where an upload's own folders leak.

Two answers. Of the run's own division: test images with a copy among those learned from (only the upload's own folders
can cause that), and the score without them. Of a division by chance, which ignores copies and is what most tools do:
the best probe's head, fitted anew on the features at hand, and its score with and without the images that leaked.
It is said beside the scores and takes part in nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from backend.contracts import Leak, LeakedScore
from backend.data.targets import strata
from backend.engine.linear import fit_linear, predict_linear
from backend.engine.metrics import right_answers
from backend.search.trial import Trial

if TYPE_CHECKING:
    from backend.search.study import Ints, Study

Marks = npt.NDArray[np.bool_]

# A head on 20,000 images of 1,280 features takes some 10 s; beyond, the count of leaked images has to do.
MOST_IMAGES = 20_000
SEED_OF_CHANCE = 7919  # added to the run's seed, so that the division is another one


def measure_leak(study: Study, ranked: Sequence[Trial], winner: Trial) -> Leak | None:
    """Say what leaks; None where no image has a copy. Needs the test labels, so only after the ranking stands."""
    same = study.split.same
    if not same:
        return None
    leaked = np.isin(study.test, study.split.leaked)
    own = None
    if leaked.any() and winner.test_probabilities is not None:
        own = _score(right_answers(winner.test_probabilities, study.targets[study.test]), leaked)
    return Leak(
        images=sum(len(group) for group in same),
        groups=len(same),
        own=own,
        by_chance=_by_chance(study, ranked),
    )


def _by_chance(study: Study, ranked: Sequence[Trial]) -> LeakedScore | None:
    """The same sizes, divided class by class without a thought for copies."""
    rng = np.random.default_rng(study.recipe.seed + SEED_OF_CHANCE)
    test = _as_many_by_chance(study, rng)
    everyone = np.arange(len(study.targets))
    known = np.setdiff1d(everyone, test)
    group_of = np.arange(len(study.targets)) + len(study.split.same)
    for number, group in enumerate(study.split.same):
        group_of[list(group)] = number
    leaked = np.isin(group_of[test], group_of[known])
    right = _right_answers(study, ranked, known, test)
    if not leaked.any():
        return None
    if right is None:
        return LeakedScore(test_images=len(test), leaked=int(leaked.sum()))
    return _score(right, leaked)


def _as_many_by_chance(study: Study, rng: np.random.Generator) -> Ints:
    stratum = strata(study.targets)
    counts = np.bincount(stratum[study.test])
    chosen = [
        rng.choice(np.flatnonzero(stratum == number), size=count, replace=False) for number, count in enumerate(counts)
    ]
    return np.sort(np.concatenate(chosen))


def _right_answers(study: Study, ranked: Sequence[Trial], known: Ints, test: Ints) -> Marks | None:
    """Whether the best probe's head, fitted on `known`, is right on `test`; None where there is no such head."""
    everyone = np.concatenate([study.train, study.val, study.test])
    for trial in ranked:
        if trial.head is None or trial.features_of is None or trial.test_probabilities is None:
            continue
        if trial.places is not None and len(trial.places) < len(study.learnable):
            continue  # features of some images only
        if len(everyone) > MOST_IMAGES:
            return None
        head = fit_linear(
            trial.features_of(known),
            study.targets[known],
            num_classes=study.num_classes,
            strength=trial.head.regularisation,
            balanced=study.balanced,
        )
        return right_answers(predict_linear(head, trial.features_of(test), trial.head.task), study.targets[test])
    return None


def _score(right: Marks, leaked: Marks) -> LeakedScore:
    clean = right[~leaked]
    return LeakedScore(
        test_images=len(right),
        leaked=int(leaked.sum()),
        accuracy=round(float(right.mean()), 6),
        accuracy_without=round(float(clean.mean()), 6) if len(clean) else None,
    )
