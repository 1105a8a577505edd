"""Which images train, which choose, which test: by class, reproducible, and never the same picture on two sides.

Images are divided generation by generation, in the order of the versions that they came in, and each by the label that
it came with; excluded ones are counted as they were. So an image's part never changes, whatever is added, excluded or
corrected later. Equal pictures and near copies stay together, a newcomer goes where its copies are. Parts that the
upload itself named (folders train, val, test) are kept, even where copies straddle them: that is told, not mended.

Pure: it looks at labels, digests and facts, and does not know how the parts are used.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from backend.contracts import Dataset, DatasetInfo, ImageItem, Split, Subset
from backend.data.groups import Group, equal_files, straddling
from backend.data.near_duplicates import same_pictures
from backend.errors import DatasetError, RecipeError

LEAST_IMAGES = 3  # one each for train, val and test
PARTS: tuple[Subset, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class _Shares:
    """How much goes where, and the seed of the shuffles."""

    test: float
    val: float
    seed: int


@dataclass
class _Division:
    """The parts so far: place in `items` to part; `items` are all images there are, the excluded ones last."""

    items: Sequence[ImageItem]
    part_of: dict[int, Subset] = field(default_factory=dict)
    counts: Counter[tuple[str, Subset]] = field(default_factory=Counter)  # images by class and part

    def label(self, place: int) -> str:
        """The label that an image is divided by, which no correction changes."""
        item = self.items[place]
        return item.label if item.first_label is None else item.first_label

    def put(self, places: Iterable[int], part: Subset) -> None:
        for place in places:
            if place not in self.part_of:
                self.part_of[place] = part
                self.counts[self.label(place), part] += 1


def stratified_split(dataset: Dataset, *, test_size: float, val_size: float = 0.2, seed: int) -> Split:
    """Divide each class into train, val and test.

    `test_size` is the share of all images, `val_size` the share of what remains after test. Every class gets at least
    one image in each part. Equal pictures and near copies stay together; those that stand under several labels only
    train, as no score on them means anything. The outcome depends on pictures, labels and seed, not on the order of
    the items; a class is divided alike whichever other classes are chosen beside it. A class that is hardly more than
    copies of few pictures is divided by equal files alone, as it could not be divided at all otherwise.

    Raises:
        DatasetError: a class has fewer than 3 different pictures.
        RecipeError: a share is not between 0 and 1.
    """
    check_share("test_size", test_size)
    check_share("val_size", val_size)
    shares = _Shares(test=test_size, val=val_size, seed=seed)
    division = _Division((*dataset.items, *dataset.excluded))
    same: list[Group] = []
    for generation in sorted({item.added_in for item in division.items}):
        same = _same(division.items, until=generation)
        _add_generation(division, generation, same, shares)
    _require_all_parts(division, dataset)
    size = len(dataset.items)
    train, val, test = (
        tuple(place for place in range(size) if division.part_of[place] == part) for part in ("train", "val", "test")
    )
    mine = [tuple(place for place in group if place < size) for group in same]
    return Split(
        train=train,
        val=val,
        test=test,
        seed=seed,
        leaked=straddling(mine, division.part_of),
        same=tuple(group for group in mine if len(group) > 1),
    )


def require_enough(info: DatasetInfo, classes: Sequence[str] | None = None) -> None:
    """Raise where a class cannot be divided, as far as its count alone tells; copies are found when it is divided.

    Raises:
        DatasetError: a class has fewer than 3 images (names the class and the count).
    """
    for label in classes or info.class_names:
        count = info.class_counts[label]
        if count < LEAST_IMAGES:
            raise DatasetError(_too_few(label, count, different=count))


def check_share(name: str, value: float) -> None:
    """Raise where a share is none.

    Raises:
        RecipeError: it is not between 0 and 1.
    """
    if not 0 < value < 1:
        raise RecipeError(f"'{name}' is {value}; it must lie between 0 and 1, as 0.2 for a fifth of the images.")


def _same(items: Sequence[ImageItem], *, until: int) -> list[Group]:
    """Groups of the same picture among what had come until a version."""
    places = [place for place, item in enumerate(items) if item.added_in <= until]
    return [tuple(places[at] for at in group) for group in same_pictures([items[place] for place in places])]


def _add_generation(division: _Division, generation: int, same: Sequence[Group], shares: _Shares) -> None:
    """Give every image that came in one version its part; those before have theirs."""
    newcomers = {place for place, item in enumerate(division.items) if item.added_in == generation}
    for place in newcomers:
        subset = division.items[place].subset
        if subset is not None and subset != "train":  # "train" gives val or test where the upload named none
            division.put([place], subset)
    _follow_copies(division, same)
    by_class = _free_groups(division, newcomers, same)
    for label in sorted(by_class):
        named = {division.items[place].subset for place in newcomers if division.label(place) == label}
        _divide(division, label, by_class[label], named=named, shares=shares, generation=generation)


def _follow_copies(division: _Division, same: Sequence[Group]) -> None:
    """Newcomers go where their copies are; those of contradictory labels train."""
    for group in same:
        known = {division.part_of[place] for place in group if place in division.part_of}
        free = [place for place in group if place not in division.part_of and division.items[place].subset is None]
        if known:  # where old copies lie on several sides, one more in training spoils nothing that was clean
            division.put(free, min(known, key=PARTS.index))
        elif len({division.label(place) for place in group}) > 1:
            division.put(free, "train")


def _free_groups(division: _Division, newcomers: set[int], same: Sequence[Group]) -> Mapping[str, list[Group]]:
    """What is still to be divided, by class, in the order of the digests."""
    group_of = {place: group for group in same for place in group}
    members: dict[tuple[str, Group], list[int]] = defaultdict(list)
    for place in newcomers - division.part_of.keys():
        members[division.label(place), group_of.get(place, (place,))].append(place)
    by_class: dict[str, list[Group]] = defaultdict(list)
    for (label, _), places in members.items():
        by_class[label].append(tuple(sorted(places)))
    for label, groups in by_class.items():
        if len(groups) < LEAST_IMAGES:
            by_class[label] = [equal for group in groups for equal in equal_files(division.items, group)]
        by_class[label].sort(key=lambda group: min(division.items[place].digest for place in group))
    return by_class


def _divide(
    division: _Division,
    label: str,
    groups: list[Group],
    *,
    named: set[Subset | None],
    shares: _Shares,
    generation: int,
) -> None:
    """Spread the groups of one class over the parts that the upload did not fill itself."""
    first = generation == min(item.added_in for item in division.items)
    random.Random(f"{shares.seed}:{label}" if first else f"{shares.seed}:{label}:{generation}").shuffle(groups)
    counts = division.counts
    total = sum(counts[label, part] for part in PARTS) + sum(len(group) for group in groups)
    rest = groups
    if "test" not in named:
        have = counts[label, "test"]
        chosen, rest = _take(rest, round(total * shares.test) - have, leave=2, needed=not have)
        division.put((place for group in chosen for place in group), "test")
    if "val" not in named:
        have = counts[label, "val"]
        quota = round((total - counts[label, "test"]) * shares.val) - have
        chosen, rest = _take(rest, quota, leave=1, needed=not have)
        division.put((place for group in chosen for place in group), "val")
    division.put((place for group in rest for place in group), "train")


def _take(groups: Sequence[Group], quota: int, *, leave: int, needed: bool) -> tuple[list[Group], list[Group]]:
    """Take groups up to `quota` images, at least one where it is `needed`; `leave` groups stay if there are any."""
    taken: list[Group] = []
    rest: list[Group] = []
    count = 0
    for group in groups:
        fits = count + len(group) <= quota and len(taken) < max(1, len(groups) - leave)
        if fits:
            count += len(group)
        (taken if fits else rest).append(group)
    if not taken and needed and rest:  # the quota is below the smallest group
        smallest = min(rest, key=len)
        rest.remove(smallest)
        taken.append(smallest)
    return taken, rest


def _require_all_parts(division: _Division, dataset: Dataset) -> None:
    """Raise where a class misses a part.

    Raises:
        DatasetError: names the class and how many different pictures it has.
    """
    parts: dict[str, set[Subset]] = defaultdict(set)
    for place in range(len(dataset.items)):
        parts[dataset.items[place].label].add(division.part_of[place])
    for label in dataset.class_names:
        missing = [part for part in PARTS if part not in parts[label]]
        if missing and _was_divided_whole(division, label):
            raise DatasetError(
                f"The class '{label}' has no image left for {' and '.join(missing)}: an image keeps its part when "
                "others are excluded or relabelled. Add images of this class, or choose the classes without it."
            )
        if missing:
            own = {item.digest for item in dataset.items if item.label == label}
            others = {item.digest for item in dataset.items if item.label != label}
            raise DatasetError(_too_few(label, dataset.info.class_counts[label], different=len(own - others)))


def _was_divided_whole(division: _Division, label: str) -> bool:
    """Whether only later corrections can have emptied a part."""
    return all(division.counts[label, part] for part in PARTS)


def _too_few(label: str, count: int, *, different: int) -> str:
    copies = f", of which {different} are different pictures with no other label" if different < count else ""
    images = "1 image" if count == 1 else f"{count} images"
    return (
        f"The class '{label}' has {images}{copies}. At least {LEAST_IMAGES} are needed: one each for training, "
        "validation and test. Add images, or choose the classes without it."
    )
