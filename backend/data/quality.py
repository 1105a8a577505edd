"""What may be wrong with a dataset: copies, contradictions, blur, light, odd sizes, empty classes. Pure: items in.

Limits follow from the dataset where that is sensible: what a whole dataset has in common (binary scans, pictures taken
at night) is its nature and no fault of single images. It opens no picture and changes nothing: an issue is a question
to a person. Wrong labels without a copy need a model; those are the suspect labels of a training.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.contracts import Dataset, ImageFacts, ImageItem, SkippedFile
from backend.contracts.insights import Conflict, IssueKind, IssueNote, Issues, Quality
from backend.data.findings import SENSIBLE_LEAST
from backend.data.near_duplicates import same_pictures

# Share of the images above which a property is the dataset's nature: it is then not reported at all.
NATURE = 0.25
FEWEST_TO_COMPARE = 20  # below, "unlike the others" means little
# Sharpness is compared after division by the contrast's square, in powers of two below the median. Of 2,300 pictures of
# CIFAR-10, Fashion-MNIST, DeepPCB, digits and shapes the least sharp is 2.9 below; of 600 blurred by 2 pixels at 28 to
# 96 pixels 97% are 4.0 or more below.
BLURRY_BELOW = 3.3
BLURRY_DEVIATIONS = 3.5
DARK_HIGH = 0.2  # even the light parts are dark
BRIGHT_LOW = 0.9  # even the dark parts are bright
LEAST_CONTRAST = 0.02  # five levels of 255
SIZE_FACTOR = 3.0  # in each direction, of the median
ASPECT_FACTOR = 2.0
ODD_DEVIATIONS = 4.0
MOST_LISTED = 1000
MOST_IN_GROUP = 50
TO_SIGMA = 1.4826  # median absolute deviation to standard deviation, of a normal distribution

Floats = npt.NDArray[np.floating[Any]]
Marks = npt.NDArray[np.bool_]
Group = tuple[int, ...]


@dataclass(frozen=True)
class Copies:
    """Places of pictures that are the same, by group."""

    exact: list[Group]
    near: list[Group]  # at least two different files
    conflicts: list[Group]


def find_issues(dataset: Dataset) -> Quality:
    """Return everything that a person should look at, as ids, and in words what to do about it."""
    items = dataset.items
    copies = find_copies(items)
    marks = _marked(items)
    ids = {kind: [items[place].image_id for place in places] for kind, places in marks.items()}
    small = small_classes(dataset.info.class_counts)
    corrupt = unreadable(dataset.info.skipped)
    conflicts = [_conflict(group, items) for group in copies.conflicts]
    issues = Issues(
        corrupt=corrupt[:MOST_LISTED],
        exact_duplicates=_listed(copies.exact, items),
        near_duplicates=_listed(copies.near, items),
        conflicting_labels=tuple(one for conflict in conflicts for one in conflict.image_ids)[:MOST_LISTED],
        small_classes=small[:MOST_LISTED],
        **{kind: tuple(found[:MOST_LISTED]) for kind, found in ids.items()},
    )
    counts: dict[IssueKind, tuple[int, int]] = {
        "corrupt": (len(corrupt), 0),
        "conflicting_labels": (sum(len(one) for one in copies.conflicts), len(conflicts)),
        "exact_duplicates": (sum(len(one) for one in copies.exact), len(copies.exact)),
        "near_duplicates": (sum(len(one) for one in copies.near), len(copies.near)),
        **{kind: (len(found), 0) for kind, found in ids.items()},
        "small_classes": (len(small), 0),
    }
    return Quality(issues=issues, notes=_notes(counts, issues), conflicts=tuple(conflicts[:MOST_LISTED]))


def find_copies(items: Sequence[ImageItem]) -> Copies:
    """Equal files, near copies, and those of either that stand under different labels."""
    by_digest: dict[str, list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        by_digest[item.digest].append(place)
    exact = sorted(tuple(places) for places in by_digest.values() if len(places) > 1)
    same = same_pictures(items)
    near = [group for group in same if len({items[place].digest for place in group}) > 1]
    conflicts = [group for group in same if len({_labels(items[place]) for place in group}) > 1]
    return Copies(exact=exact, near=near, conflicts=conflicts)


def unreadable(skipped: Sequence[SkippedFile]) -> tuple[SkippedFile, ...]:
    """The skipped files that are damaged pictures, not files of another kind."""
    return tuple(one for one in skipped if one.damaged)


def small_classes(counts: dict[str, int]) -> tuple[str, ...]:
    """Classes with too few images to learn from, the smallest first."""
    return tuple(sorted((name for name in counts if counts[name] < SENSIBLE_LEAST), key=lambda name: counts[name]))


def _marked(items: Sequence[ImageItem]) -> dict[IssueKind, list[int]]:
    """Places by what single images show, the worst first."""
    told = [place for place, item in enumerate(items) if item.facts is not None]
    facts = [item.facts for item in items if item.facts is not None]
    found: dict[IssueKind, list[int]] = {"blurry": [], "dark": [], "bright": [], "low_information": []}
    if facts:
        for kind, (marks, severity) in _by_facts(facts).items():
            chosen = np.flatnonzero(marks) if marks.mean() <= NATURE else np.array([], dtype=np.intp)
            found[kind] = [told[place] for place in chosen[np.argsort(-severity[chosen], kind="stable")]]
    found["odd_size"] = _odd_sizes(items)
    return found


def _by_facts(facts: Sequence[ImageFacts]) -> dict[IssueKind, tuple[Marks, Floats]]:
    """For each kind which images it holds for, and how much."""
    low, high, contrast, sharpness = (
        np.array([getattr(one, name) for one in facts], dtype=np.float64)
        for name in ("low", "high", "contrast", "sharpness")
    )
    empty = contrast < LEAST_CONTRAST
    dark, bright = high < DARK_HIGH, low > BRIGHT_LOW
    below = _below_the_sharpness_of_others(sharpness, contrast, comparable=~empty)
    return {
        "blurry": (below > 0, below),
        "dark": (dark, -high),
        "bright": (bright & ~empty, low),
        "low_information": (empty & ~dark, -contrast),
    }


def _below_the_sharpness_of_others(sharpness: Floats, contrast: Floats, *, comparable: Marks) -> Floats:
    """How far each image lies below the limit, in powers of two; above 0 is blurry."""
    if comparable.sum() < FEWEST_TO_COMPARE:
        return np.full(len(sharpness), -1.0)
    relative = np.log2(sharpness / np.maximum(contrast * 255, 1) ** 2 + 1e-6)
    median = np.median(relative[comparable])
    deviation = TO_SIGMA * float(np.median(np.abs(relative[comparable] - median)))
    limit = median - max(BLURRY_BELOW, BLURRY_DEVIATIONS * deviation)
    return np.where(comparable, limit - relative, -1.0)


def _odd_sizes(items: Sequence[ImageItem]) -> list[int]:
    """Places of pictures far smaller, larger or longer than the others, the oddest first."""
    if len(items) < FEWEST_TO_COMPARE:
        return []
    side = np.log([math.sqrt(item.width * item.height) for item in items])
    aspect = np.log([item.width / item.height for item in items])
    by_size, by_aspect = _beyond(side, math.log(SIZE_FACTOR)), _beyond(aspect, math.log(ASPECT_FACTOR))
    odd = np.maximum(by_size, by_aspect)
    places = np.flatnonzero(odd > 0)
    if len(places) > NATURE * len(items):
        return []
    return [int(place) for place in places[np.argsort(-odd[places], kind="stable")]]


def _beyond(values: Floats, least: float) -> Floats:
    """How far values lie beyond the limit around their median; above 0 is odd."""
    from_median = np.abs(values - np.median(values))
    spread: Floats = from_median - max(least, ODD_DEVIATIONS * TO_SIGMA * float(np.median(from_median)))
    return spread


def _labels(item: ImageItem) -> tuple[str, ...]:
    return tuple(sorted(item.labels)) or (item.label,)


def _conflict(group: Group, items: Sequence[ImageItem]) -> Conflict:
    shown = group[:MOST_IN_GROUP]
    return Conflict(
        image_ids=tuple(items[place].image_id for place in shown),
        labels=tuple(", ".join(label for label in _labels(items[place]) if label) for place in shown),
        exact=len({items[place].digest for place in group}) == 1,
    )


def _listed(groups: Sequence[Group], items: Sequence[ImageItem]) -> tuple[tuple[str, ...], ...]:
    """Image ids by group, as many groups as together hold `MOST_LISTED` images."""
    listed: list[tuple[str, ...]] = []
    room = MOST_LISTED
    for group in groups:
        if room <= 0:
            break
        listed.append(tuple(items[place].image_id for place in group[:MOST_IN_GROUP]))
        room -= len(listed[-1])
    return tuple(listed)


def _notes(counts: dict[IssueKind, tuple[int, int]], issues: Issues) -> tuple[IssueNote, ...]:
    return tuple(
        IssueNote(kind=kind, images=images, groups=groups, advice=ADVICE[kind], listed=_shown(getattr(issues, kind)))
        for kind, (images, groups) in counts.items()
        if images
    )


def _shown(entries: Iterable[Any]) -> int:
    return sum(len(one) if isinstance(one, tuple) else 1 for one in entries)


ADVICE: dict[IssueKind, str] = {
    "corrupt": "These files could not be read and are not in the dataset. Mend them and add them again as a ZIP.",
    "conflicting_labels": (
        "The same picture stands under several labels, so at least one is wrong. Give all copies the right label, or "
        "exclude those that are wrong. Until then such pictures only train and are never tested on."
    ),
    "exact_duplicates": (
        "These files are equal. Keep one of each group and exclude the rest: copies weigh a picture more than once. "
        "They are never divided between training and test."
    ),
    "near_duplicates": (
        "These look like the same picture saved, scaled or lit differently. Exclude what adds nothing; they are never "
        "divided between training and test."
    ),
    "blurry": "Far less sharp than the other images. Exclude those on which you cannot tell the class yourself.",
    "dark": "Even the light parts are nearly black. Take the picture again with more light, or exclude it.",
    "bright": "Even the dark parts are nearly white. Take the picture again with less light, or exclude it.",
    "low_information": "Nearly of one colour: there is nothing to learn from. Exclude them unless that is the class.",
    "odd_size": (
        "Far smaller, larger or longer than the other images. Check that they are not icons, thumbnails or panoramas; "
        "crop or exclude those that are."
    ),
    "small_classes": (
        f"Fewer than {SENSIBLE_LEAST} images; scores of such a class are a matter of luck. Add images, or train "
        "without the class."
    ),
}
