"""Suspect labels where an image may have several: a label that seems to be missing, or one that seems to be too much.

It knows scores by models without the image, and digests, and has seen no picture: a suspect is a question to a person.
Scores of a rare label are low everywhere, so each is read against its own label's images: 1 is what the model says on
average where the label is there, 0 where it is not. In the spirit of confident learning (Northcutt, Jiang and Chuang
2021), one label at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from backend.contracts import ImageItem, SuspectLabel
from backend.engine.metrics import wilson_interval

Floats = npt.NDArray[np.floating]
Marks = npt.NDArray[np.bool_]

LOOKED_AT = 0.05  # of all images: a person is asked to look at one in twenty
LEAST_DOUBT = 0.6  # 0.5 is half way between the label's images and the others
LEAST_AGREEMENT = 0.5  # a model that is not surely right more often than not accuses nobody: its mistakes would be all
LEAST_IMAGES = 5  # with and without the label, to know what it looks like
Doubt = tuple[float, int, int]  # how sure, 0..1, place, label


def suspect_decisions(
    scores: Floats, targets: Floats, items: Sequence[ImageItem], class_names: Sequence[str]
) -> tuple[SuspectLabel, ...]:
    """The likeliest mistakes among labels, likeliest first, one for each image: its most doubtful label.

    `scores` [N, C] are by models that did not learn from the image; targets [N, C] and items [N] go with them. Equal
    pictures that disagree come first: one of them is wrong whatever a model thinks.

    Raises:
        ValueError: numbers of images or labels do not agree.
    """
    if scores.shape != targets.shape or scores.shape != (len(items), len(class_names)):
        raise ValueError(f"scores {scores.shape}, targets {targets.shape}, {len(items)} items, {len(class_names)}")
    truth = targets > 0
    read = _read(scores, truth)
    doubts = _of_copies(read, truth, [item.digest for item in items])
    taken = {place for _, place, _ in doubts}
    found = [one for one in _of_scores(read, truth) if one[1] not in taken]
    return tuple(
        _suspect(items[place], class_names, label, missing=not truth[place, label], sure=sure)
        for sure, place, label in (*doubts, *found[: int(LOOKED_AT * len(items))])
    )


def _read(scores: Floats, truth: Marks) -> Floats:
    """Scores [N, C] as 0 where they are as on images without the label, 1 as on those with it; NaN where unknown."""
    read = np.full(scores.shape, np.nan)
    for label in range(scores.shape[1]):
        here = truth[:, label]
        if min(here.sum(), (~here).sum()) >= LEAST_IMAGES:
            there, elsewhere = scores[here, label].mean(), scores[~here, label].mean()
            if there > elsewhere:
                read[:, label] = (scores[:, label] - elsewhere) / (there - elsewhere)
    return read


def _surely_right(right: Marks) -> bool:
    """Whether answers are right more often than not, by more than chance (95%)."""
    return bool(len(right)) and wilson_interval(int(right.sum()), len(right))[0] > LEAST_AGREEMENT


def _of_scores(read: Floats, truth: Marks) -> list[Doubt]:
    """The most doubtful label of each image, most doubtful first.

    A label counts as missing only where the model, when it says so this firmly, is mostly right; as superfluous only
    where it finds most of the images that carry the label.
    """
    doubt = np.where(np.isnan(read), -np.inf, np.where(truth, 1.0 - read, read))
    for label in range(read.shape[1]):
        here, there = read[:, label], truth[:, label]
        if not _surely_right(there[here >= 1.0]):
            doubt[~there, label] = -np.inf
        if not _surely_right(here[there] >= 0.5):
            doubt[there, label] = -np.inf
    worst = doubt.argmax(axis=1)
    sure = doubt[np.arange(len(doubt)), worst]
    places = np.flatnonzero(sure >= LEAST_DOUBT)
    order = places[np.argsort(-sure[places], kind="stable")]
    return [(float(min(1.0, sure[place])), int(place), int(worst[place])) for place in order]


def _of_copies(read: Floats, truth: Marks, digests: Sequence[str]) -> list[Doubt]:
    """Of equal pictures with different labels, those outvoted by their copies; at a draw the model decides."""
    copies: dict[str, list[int]] = defaultdict(list)
    for place, digest in enumerate(digests):
        copies[digest].append(place)
    found: list[Doubt] = []
    for places in copies.values():
        votes = truth[places].mean(axis=0)
        for label in np.flatnonzero((votes > 0) & (votes < 1)):
            opinion = read[places, label].mean()
            present = votes[label] > 0.5 or (votes[label] == 0.5 and (np.isnan(opinion) or opinion > 0.5))
            sure = max(votes[label], 1 - votes[label])
            found += [(float(sure), place, int(label)) for place in places if truth[place, label] != present]
    return sorted(found, key=lambda one: -one[0])


def _suspect(item: ImageItem, names: Sequence[str], label: int, *, missing: bool, sure: float) -> SuspectLabel:
    name = names[label]
    suggested = tuple(sorted({*item.labels, name} if missing else {*item.labels} - {name}))
    return SuspectLabel(
        image_id=item.image_id,
        label=", ".join(sorted(item.labels)),
        suggested=", ".join(suggested),
        confidence=round(sure, 6),
        file=item.file,
        doubted=name,
        labels=item.labels,
        kind="missing" if missing else "superfluous",
        suggested_labels=suggested,
    )
