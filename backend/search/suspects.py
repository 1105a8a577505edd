"""Suspect labels: images of which a model that did not learn from them says that they are something else. Pure.

Confident learning, written from the paper: Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating
Uncertainty in Dataset Labels"; and a ranking by margin that is cut by rank. It knows probabilities and digests, and has
seen no picture: a suspect is a question to a person, not a verdict.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from backend.contracts import ImageItem, SuspectLabel
from backend.engine.metrics import wilson_interval

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]
Accused = tuple[int, int, float]  # place, suggested class, its probability
Accuse = Callable[[Floats, Ints], list[Accused]]

# Two cuts beyond the paper, which trusts the model. Of 600 CIFAR images of 3 classes, 5% of the labels planted wrong, a
# model of 60-72% accuracy had 69-162 off the diagonal, a sixth of them planted; with this margin 11-41, a third.
LEAST_MARGIN = 0.5  # of the suggested class over the label
# A model whose confident answers are not surely right more often than not accuses nobody: its own mistakes would be the
# list. Pure noise had agreement with 32% of the labels of 3 classes, and 411 of 600 images off the diagonal.
LEAST_AGREEMENT = 0.5

# Of left-out answers: a person is asked to look at one image in twenty, and besides at each whose margin is wide. With
# 15 of 600 CIFAR labels flipped (10 seeds) that found 87-93% of them, and accused 4.4-4.8% of the untouched images.
LOOKED_AT = 0.05  # of all images
WIDE_MARGIN = 0.5  # 58-63% of the flipped labels were beyond it, and at most 0.2% of the untouched images
DOUBTED_MARGIN = 0.1  # less is a picture between two classes: up to 13% of the untouched images were above 0


def suspect_labels(
    out_of_fold: Floats,
    targets: Ints,
    items: Sequence[ImageItem],
    class_names: Sequence[str],
    *,
    accuse: Accuse | None = None,
    same: Iterable[Sequence[int]] = (),
) -> tuple[SuspectLabel, ...]:
    """The likeliest mistakes among labels, likeliest first.

    `out_of_fold` [N, C] are by models that did not learn from the image; targets [N] and items [N] go with it. Equal
    pictures, and those of a group of near copies (`same`), under different labels come first: one of those labels is
    wrong whatever a model thinks. `accuse` says who else is one, `confident_mistakes` unless told otherwise; it is not
    asked about those, so that they take no place of another's.

    Raises:
        ValueError: numbers of images or classes do not agree.
    """
    if not len(out_of_fold) == len(targets) == len(items) or out_of_fold.shape[1:] != (len(class_names),):
        raise ValueError(
            f"probabilities {out_of_fold.shape}, {len(targets)} targets, {len(items)} items, {len(class_names)} classes"
        )
    found = contradicted_copies(out_of_fold, targets, _copies([item.digest for item in items], same))
    taken = {place for place, _, _ in found}
    rest = np.array([place for place in range(len(targets)) if place not in taken], dtype=np.intp)
    others = (accuse or confident_mistakes)(out_of_fold[rest], targets[rest]) if len(rest) else []
    found += [(int(rest[place]), suggested, confidence) for place, suggested, confidence in others]
    return tuple(
        SuspectLabel(
            image_id=items[place].image_id,
            label=class_names[int(targets[place])],
            suggested=class_names[suggested],
            confidence=round(confidence, 6),
            file=items[place].file,
        )
        for place, suggested, confidence in found
    )


def _copies(digests: Sequence[str], same: Iterable[Sequence[int]]) -> list[list[int]]:
    """The groups of near copies, each with the equal files of its members, and the equal files of all others."""
    group_of = {place: f"group {number}" for number, group in enumerate(same) for place in group}
    of_digest = {digests[place]: group for place, group in group_of.items()}
    copies: dict[str, list[int]] = defaultdict(list)
    for place, digest in enumerate(digests):
        copies[of_digest.get(digest, digest)].append(place)
    return list(copies.values())


def contradicted_copies(out_of_fold: Floats, targets: Ints, copies: Iterable[list[int]]) -> list[Accused]:
    """Of copies with different labels, those outvoted by the others, as (place, suggested class, confidence).

    Where the copies are as many on both sides, the model's mean probability decides.
    """
    found = []
    for places in copies:
        labels = targets[places]
        if (labels == labels[0]).all():
            continue
        opinion = out_of_fold[places].mean(axis=0)
        votes = np.bincount(labels, minlength=len(opinion))
        # the opinion is below 1 and so decides only between equal votes
        suggested = int((votes + np.where(votes > 0, opinion * 0.999, 0.0)).argmax())
        found += [(place, suggested, float(opinion[suggested])) for place in places if targets[place] != suggested]
    return sorted(found, key=lambda one: -one[2])


def confident_mistakes(out_of_fold: Floats, targets: Ints) -> list[Accused]:
    """Off the diagonal of the confident joint: (place, suggested class, its probability), widest margin first.

    An image counts as class j where p(j) reaches what the model gives on average to images labelled j; where several
    classes do, the likeliest of them. Empty where the model is too weak to accuse anybody.
    """
    suggested, confident = _confidently(out_of_fold, targets)
    if not _trusted(suggested, confident, targets):
        return []
    everyone = np.arange(len(targets))
    margins = out_of_fold[everyone, suggested] - out_of_fold[everyone, targets]
    return _widest_first(
        out_of_fold, suggested, np.where(confident & (suggested != targets), margins, -1.0), LEAST_MARGIN
    )


def doubted(left_out: Floats, targets: Ints) -> list[Accused]:
    """Whose own label gets less than another class, by probabilities [N, C] without the image; widest margin first.

    At most `LOOKED_AT` of the images beyond those with a `WIDE_MARGIN`. Empty where the model is too weak.
    """
    if not _trusted(*_confidently(left_out, targets), targets):
        return []
    everyone = np.arange(len(targets))
    others = np.where(np.bincount(targets, minlength=left_out.shape[1]) > 0, left_out, -1.0)
    others[everyone, targets] = -1.0
    suggested = others.argmax(axis=1)
    margins = others[everyone, suggested] - left_out[everyone, targets]
    found = _widest_first(left_out, suggested, margins, DOUBTED_MARGIN)
    return found[: int((margins >= WIDE_MARGIN).sum()) + int(LOOKED_AT * len(targets))]


def _confidently(answers: Floats, targets: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """The likeliest class [N] that reaches its threshold, and whether there is one [N]."""
    reached = np.where(answers >= self_confidence(answers, targets), answers, -1.0)
    suggested = reached.argmax(axis=1)
    return suggested, reached[np.arange(len(targets)), suggested] >= 0


def _trusted(suggested: Ints, confident: npt.NDArray[np.bool_], targets: Ints) -> bool:
    agrees = confident & (suggested == targets)
    return bool(confident.any()) and wilson_interval(int(agrees.sum()), int(confident.sum()))[0] > LEAST_AGREEMENT


def _widest_first(answers: Floats, suggested: Ints, margins: Floats, least: float) -> list[Accused]:
    places = np.flatnonzero(margins >= least)
    order = places[np.argsort(-margins[places], kind="stable")]
    return [(int(place), int(suggested[place]), float(answers[place, suggested[place]])) for place in order]


def self_confidence(out_of_fold: Floats, targets: Ints) -> Floats:
    """Mean probability [C] of a class over the images that carry its label; above 1 for a class without images."""
    classes = out_of_fold.shape[1]
    counts = np.bincount(targets, minlength=classes)
    sums = np.bincount(targets, weights=out_of_fold[np.arange(len(targets)), targets], minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 2.0)
