"""Suspect labels: images whose own out-of-fold prediction says confidently that they are something else. Pure.

Confident learning, written from the paper: Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating
Uncertainty in Dataset Labels". It knows probabilities and digests, and has seen no picture: a suspect is a question to
a person, not a verdict.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from backend.contracts import ImageItem, SuspectLabel
from backend.engine.metrics import wilson_interval

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

# Two cuts beyond the paper, which trusts the model. Of 600 CIFAR images of 3 classes, 5% of the labels planted wrong, a
# model of 60-72% accuracy had 69-162 off the diagonal, a sixth of them planted; with this margin 11-41, a third.
LEAST_MARGIN = 0.5  # of the suggested class over the label
# A model whose confident answers are not surely right more often than not accuses nobody: its own mistakes would be the
# list. Pure noise had agreement with 32% of the labels of 3 classes, and 411 of 600 images off the diagonal.
LEAST_AGREEMENT = 0.5


def suspect_labels(
    out_of_fold: Floats, targets: Ints, items: Sequence[ImageItem], class_names: Sequence[str], *, limit: int = 50
) -> tuple[SuspectLabel, ...]:
    """The likeliest mistakes among labels, likeliest first, at most `limit`.

    `out_of_fold` [N, C] are by models that did not learn from the image; targets [N] and items [N] go with it. Equal
    pictures under different labels come first: one of those labels is wrong whatever a model thinks.

    Raises:
        ValueError: numbers of images or classes do not agree.
    """
    if not len(out_of_fold) == len(targets) == len(items) or out_of_fold.shape[1:] != (len(class_names),):
        raise ValueError(
            f"probabilities {out_of_fold.shape}, {len(targets)} targets, {len(items)} items, {len(class_names)} classes"
        )
    found = contradicted_copies(out_of_fold, targets, [item.digest for item in items])
    taken = {place for place, _, _ in found}
    found += [one for one in confident_mistakes(out_of_fold, targets) if one[0] not in taken]
    return tuple(
        SuspectLabel(
            image_id=items[place].image_id,
            label=class_names[int(targets[place])],
            suggested=class_names[suggested],
            confidence=round(confidence, 6),
        )
        for place, suggested, confidence in found[:limit]
    )


def contradicted_copies(out_of_fold: Floats, targets: Ints, digests: Sequence[str]) -> list[tuple[int, int, float]]:
    """Of equal pictures with different labels, those outvoted by their copies, as (place, suggested class, confidence).

    Where the copies are as many on both sides, the model's mean probability decides.
    """
    copies: dict[str, list[int]] = defaultdict(list)
    for place, digest in enumerate(digests):
        copies[digest].append(place)
    found = []
    for places in copies.values():
        labels = targets[places]
        if (labels == labels[0]).all():
            continue
        opinion = out_of_fold[places].mean(axis=0)
        votes = np.bincount(labels, minlength=len(opinion))
        # the opinion is below 1 and so decides only between equal votes
        suggested = int((votes + np.where(votes > 0, opinion * 0.999, 0.0)).argmax())
        found += [(place, suggested, float(opinion[suggested])) for place in places if targets[place] != suggested]
    return sorted(found, key=lambda one: -one[2])


def confident_mistakes(out_of_fold: Floats, targets: Ints) -> list[tuple[int, int, float]]:
    """Off the diagonal of the confident joint: (place, suggested class, its probability), widest margin first.

    An image counts as class j where p(j) reaches what the model gives on average to images labelled j; where several
    classes do, the likeliest of them. Empty where the model is too weak to accuse anybody.
    """
    thresholds = self_confidence(out_of_fold, targets)
    reached = np.where(out_of_fold >= thresholds, out_of_fold, -1.0)
    suggested = reached.argmax(axis=1)
    everyone = np.arange(len(targets))
    confident = reached[everyone, suggested] >= 0
    agrees = confident & (suggested == targets)
    if not confident.any() or wilson_interval(int(agrees.sum()), int(confident.sum()))[0] <= LEAST_AGREEMENT:
        return []
    margins = out_of_fold[everyone, suggested] - out_of_fold[everyone, targets]
    places = np.flatnonzero(confident & (suggested != targets) & (margins >= LEAST_MARGIN))
    order = places[np.argsort(-margins[places], kind="stable")]
    return [(int(place), int(suggested[place]), float(out_of_fold[place, suggested[place]])) for place in order]


def self_confidence(out_of_fold: Floats, targets: Ints) -> Floats:
    """Mean probability [C] of a class over the images that carry its label; above 1 for a class without images."""
    classes = out_of_fold.shape[1]
    counts = np.bincount(targets, minlength=classes)
    sums = np.bincount(targets, weights=out_of_fold[np.arange(len(targets)), targets], minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 2.0)
