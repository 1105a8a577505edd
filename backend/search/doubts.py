"""Which networks judge the labels, and on how many images there is time for it. Nothing is chosen by their answers.

The best probes' features are at hand for every image, test images too: a wrong label is as wrong there, and the ranking
stands when this is asked. Without probes (a plain fine-tune), or where time or images forbid it, the winner's own
held-out answers have to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backend.contracts import SuspectLabel
from backend.contracts.journal import decided
from backend.data.targets import is_multilabel
from backend.search.label_doubts import suspect_decisions
from backend.search.left_out import left_out
from backend.search.suspects import Accuse, confident_mistakes, doubted, suspect_labels
from backend.search.trial import Trial

if TYPE_CHECKING:
    import numpy.typing as npt

    from backend.search.budget import Budget
    from backend.search.study import Ints, Study

    Floats = npt.NDArray[np.floating]

# Three networks together found 91% of flipped labels of 600 CIFAR images, each alone 87%, 89% and 93% (10 seeds).
MOST_NETWORKS = 3
NEARLY_AS_GOOD = 0.05  # of cross-validated accuracy below the best probe's
SECONDS_PER_IMAGE = 2e-4  # and network: 2.3 s for 20,000 images of 1,280 features on two idle cores, 0.2 s for 600
MOST_ANSWERS = 60_000  # images times networks, 12 s
KEPT_S = 2.0  # for building and saving the winner
MOST_LISTED = 500


def doubt_labels(
    study: Study, ranked: Sequence[Trial], winner: Trial, *, budget: Budget
) -> tuple[tuple[SuspectLabel, ...], list[str]]:
    """Suspect labels, likeliest mistakes first, and sentences on what was left out.

    Raises:
        ValueError: the winner has no held-out answers.
        JobCancelled: through the study's control, between networks.
    """
    if winner.held_out is None:
        raise ValueError("a winner was ranked")
    probes = judges(ranked)
    count = min(len(probes), _affordable(study, budget)) if probes else 0
    notes: list[str] = []
    accuse: Accuse = doubted if count else confident_mistakes
    if count:
        places = _known(study, probes[0])
        answers = _answers(study, probes[:count], places)
    else:
        places = study.ranking if winner.places is None else winner.places
        answers = winner.held_out
        if probes:
            notes.append(
                f"Labels were judged by the winner's held-out answers, test images not at all: a closer look at "
                f"{len(study.targets):,} images did not fit. It takes at most {MOST_ANSWERS:,} images, and time."
            )
    items = [study.dataset.items[place] for place in places]
    names, targets = study.dataset.class_names, study.targets[places]
    if is_multilabel(targets):
        found = suspect_decisions(answers, targets, items, names)
    else:
        row_of = {int(place): row for row, place in enumerate(places)}
        same = [[row_of[place] for place in group if place in row_of] for group in study.split.same]
        found = suspect_labels(answers, targets, items, names, accuse=accuse, same=same)
    if len(found) > MOST_LISTED:
        notes.append(f"{len(found):,} labels are doubted; the {MOST_LISTED} likeliest mistakes are listed.")
    return found[:MOST_LISTED], notes


def judges(ranked: Sequence[Trial]) -> list[Trial]:
    """The best probes that have answered all images, best first, as far as they are nearly as good as the best."""
    probes = [
        trial
        for trial in ranked
        if trial.usable and trial.head and trial.features_of and trial.test_probabilities is not None
    ]
    if not probes:
        return []
    best = max(probes, key=_accuracy)
    near = [
        probe for probe in probes if _accuracy(probe) >= _accuracy(best) - NEARLY_AS_GOOD and _same_images(probe, best)
    ]
    return sorted(near, key=lambda probe: -_accuracy(probe))[:MOST_NETWORKS]


def _accuracy(probe: Trial) -> float:
    return probe.head.cv_accuracy if probe.head else 0.0


def _same_images(one: Trial, other: Trial) -> bool:
    if one.places is None or other.places is None:
        return one.places is other.places
    return np.array_equal(np.sort(one.places), np.sort(other.places))


def _known(study: Study, probe: Trial) -> Ints:
    """Every image whose features are at hand."""
    return np.union1d(study.learnable if probe.places is None else probe.places, study.test)


def _affordable(study: Study, budget: Budget) -> int:
    """How many networks there is time for; an attempt that goes on from another decides alike."""
    images = len(study.targets)

    def by_the_clock() -> int:
        left = max(0.0, budget.deadline.remaining() - KEPT_S)
        return int(min(MOST_NETWORKS, MOST_ANSWERS // images, left / (SECONDS_PER_IMAGE * images)))

    return decided(study.control.journal, "judges", by_the_clock)


def _answers(study: Study, probes: Sequence[Trial], places: Ints) -> Floats:
    """Probabilities [P, C] for the images at `places`, each by models without that image; the networks' mean."""
    total = np.zeros((len(places), study.num_classes))
    for probe in probes:
        study.control.check()
        if probe.features_of is not None:
            total += left_out(
                probe.features_of(places),
                study.targets[places],
                num_classes=study.num_classes,
                groups=study.groups[places],
                balanced=study.balanced,
            )
    shares = np.clip(total / len(probes), 0.0, None)
    if is_multilabel(study.targets):
        return shares
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
