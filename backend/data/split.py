"""Which images train, which choose, which test: by class, reproducible, and never the same picture on two sides.

Pure: it looks at labels and digests, and does not know how the parts are used.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

from backend.contracts import Dataset, DatasetInfo, Split
from backend.errors import DatasetError, RecipeError

Group = tuple[int, ...]  # places in `Dataset.items` of equal pictures
LEAST_IMAGES = 3  # one each for train, val and test


def stratified_split(dataset: Dataset, *, test_size: float, val_size: float = 0.2, seed: int) -> Split:
    """Divide each class into train, val and test.

    `test_size` is the share of all images, `val_size` the share of what remains after test. Every class gets at least
    one image in each part. Equal pictures (equal digests) stay together; those that stand under several labels only
    train, as no score on them means anything. The outcome depends on pictures, labels and seed, not on the order of
    the items; a class is divided alike whichever other classes are chosen beside it.

    Raises:
        DatasetError: a class has fewer than 3 different pictures.
        RecipeError: a share is not between 0 and 1.
    """
    _check_share("test_size", test_size)
    _check_share("val_size", val_size)
    by_class, contradictory = _groups(dataset)
    parts: dict[str, list[int]] = {
        "train": [place for group in contradictory for place in group],
        "val": [],
        "test": [],
    }
    shared = {dataset.items[place].label for place in parts["train"]}
    for label in dataset.class_names:
        groups = by_class[label]
        if len(groups) + (label in shared) < LEAST_IMAGES:
            raise DatasetError(_too_few(label, dataset.info.class_counts[label], different=len(groups)))
        random.Random(f"{seed}:{label}").shuffle(groups)
        _divide(groups, parts, test_size=test_size, val_size=val_size)
    train, val, test = (tuple(sorted(parts[name])) for name in ("train", "val", "test"))
    return Split(train=train, val=val, test=test, seed=seed)


def require_multiclass(info: DatasetInfo) -> None:
    """Raise where an image may have several classes.

    Raises:
        DatasetError: this version trains on one class for each image.
    """
    if info.task == "multilabel":
        raise DatasetError(
            f"The dataset '{info.name}' is multi-label: an image may have several classes, or none. It can be looked "
            "at and corrected, but this version trains multi-class models only: one class for each image."
        )


def require_enough(info: DatasetInfo, classes: Sequence[str] | None = None) -> None:
    """Raise where a class cannot be divided, as far as its count alone tells; copies are found when it is divided.

    Raises:
        DatasetError: a class has fewer than 3 images; names the class and the count. Or a multi-label dataset.
    """
    require_multiclass(info)
    for label in classes or info.class_names:
        count = info.class_counts[label]
        if count < LEAST_IMAGES:
            raise DatasetError(_too_few(label, count, different=count))


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise RecipeError(f"'{name}' is {value}; it must lie between 0 and 1, as 0.2 for a fifth of the images.")


def _groups(dataset: Dataset) -> tuple[Mapping[str, list[Group]], list[Group]]:
    """Equal pictures by class, in the order of their digests; and those under several labels."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, item in enumerate(dataset.items):
        places[item.digest].append(place)
    by_class: dict[str, list[Group]] = defaultdict(list)
    contradictory: list[Group] = []
    for digest in sorted(places):
        labels = {dataset.items[place].label for place in places[digest]}
        target = by_class[next(iter(labels))] if len(labels) == 1 else contradictory
        target.append(tuple(places[digest]))
    return by_class, contradictory


def _divide(groups: Sequence[Group], parts: Mapping[str, list[int]], *, test_size: float, val_size: float) -> None:
    """Spread the shuffled groups of one class over the parts."""
    total = sum(len(group) for group in groups)
    test, rest = _take(groups, round(total * test_size), leave=2)
    left = sum(len(group) for group in rest)
    val, train = _take(rest, round(left * val_size), leave=1)
    for name, chosen in (("test", test), ("val", val), ("train", train)):
        parts[name].extend(place for group in chosen for place in group)


def _take(groups: Sequence[Group], quota: int, *, leave: int) -> tuple[list[Group], list[Group]]:
    """Take groups up to `quota` images, at least one group; as far as there are any, `leave` groups stay."""
    taken: list[Group] = []
    rest: list[Group] = []
    count = 0
    for group in groups:
        fits = count + len(group) <= quota and len(taken) < max(1, len(groups) - leave)
        if fits:
            count += len(group)
        (taken if fits else rest).append(group)
    if not taken:  # the quota is below the smallest group
        smallest = min(rest, key=len)
        rest.remove(smallest)
        taken.append(smallest)
    return taken, rest


def _too_few(label: str, count: int, *, different: int) -> str:
    copies = f", of which {different} are different pictures with no other label" if different < count else ""
    images = "1 image" if count == 1 else f"{count} images"
    return (
        f"The class '{label}' has {images}{copies}. At least {LEAST_IMAGES} are needed: one each for training, "
        "validation and test. Add images, or choose the classes without it."
    )
