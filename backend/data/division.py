"""Which images train, which choose, which test, by the recipe's rule: the one way in for whoever trains.

One class an image and nothing else to keep together is `data.split`'s own way. Where an image may have several labels,
or images of one board, patient or day must stay on one side, units of images are dealt out by iterative
stratification. The promises are the same: an image's part never changes, whatever is added, excluded or corrected
later; equal pictures and near copies stay together; parts that the upload named are kept; the same seed, the same
parts.

Pure: it looks at labels, names, digests and facts, and does not know how the parts are used.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from backend.contracts import Dataset, DataSettings, ImageItem, Split, Subset
from backend.data.groups import Group, equal_files, groups_by_name, joined, straddling
from backend.data.iterative import Demand, stratify
from backend.data.near_duplicates import same_pictures
from backend.data.split import LEAST_IMAGES, PARTS, check_share, stratified_split
from backend.data.versions import labels_of
from backend.errors import DatasetError

FIXED = {"stratified_70_15_15": (0.15, 0.15), "stratified_80_10_10": (0.10, 0.10)}  # of all: test, validation
VALIDATION = 0.2  # of what remains after test
STRATEGY = "stratified by label, equal and nearly equal pictures kept together"


def shares(rule: DataSettings, test_size: float) -> tuple[float, float]:
    """Shares of all images for test and for validation."""
    return FIXED.get(rule.split) or (test_size, VALIDATION * (1.0 - test_size))


def divide(dataset: Dataset, rule: DataSettings, *, test_size: float, seed: int) -> Split:
    """Divide a dataset as a recipe says; `test_size` counts where the rule has no shares of its own.

    Raises:
        DatasetError: a class is on fewer than 3 pictures or groups that can be told apart; names are not known.
        RecipeError: a share is not between 0 and 1, or there is no such rule for groups.
    """
    test, val = shares(rule, test_size)
    if dataset.info.task == "multiclass" and not rule.group_by:
        of_rest = val / (1.0 - test) if rule.split in FIXED else VALIDATION
        return stratified_split(dataset, test_size=test, val_size=of_rest, seed=seed)
    check_share("test_size", test)
    division = _Division((*dataset.items, *dataset.excluded), dataset.info.task == "multilabel", bool(rule.group_by))
    named = [] if not rule.group_by else groups_by_name(division.items, rule.group_by)
    for generation in sorted({item.added_in for item in division.items}):
        _add_generation(division, generation, named, {"test": test, "val": val, "seed": seed})
    _require_all_parts(division, dataset, grouped=rule.group_by)
    return _as_split(division, dataset, named, rule=rule, seed=seed)


@dataclass
class _Division:
    """The parts so far: place in `items` to part; `items` are all images there are, the excluded ones last."""

    items: Sequence[ImageItem]
    several: bool
    grouped: bool
    part_of: dict[int, Subset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = sorted({label for item in self.items for label in self.labels(item)})
        column = {name: place for place, name in enumerate(self.names)}
        # a column for each label, one for images without any, one for all images
        self.rows = np.zeros((len(self.items), len(self.names) + 2))
        self.rows[:, -1] = 1.0
        for place, item in enumerate(self.items):
            labels = self.labels(item)
            self.rows[place, [column[label] for label in labels] or [-2]] = 1.0

    def labels(self, item: ImageItem) -> tuple[str, ...]:
        """The labels that an image is divided by, which no correction changes."""
        if self.several:
            return item.labels if item.first_labels is None else item.first_labels
        return (item.label if item.first_label is None else item.first_label,)

    def put(self, places: Sequence[int], part: Subset) -> None:
        for place in places:
            self.part_of.setdefault(place, part)

    def counts(self) -> np.ndarray:
        """What each part holds [3, L]."""
        held = np.zeros((len(PARTS), self.rows.shape[1]))
        for place, part in self.part_of.items():
            held[PARTS.index(part)] += self.rows[place]
        return held


def _add_generation(
    division: _Division, generation: int, named: Sequence[Group], shares_: Mapping[str, float | int]
) -> None:
    """Give every image that came in one version its part; those before have theirs."""
    there = [place for place, item in enumerate(division.items) if item.added_in <= generation]
    newcomers = {place for place in there if division.items[place].added_in == generation}
    for place in sorted(newcomers):
        subset = division.items[place].subset
        if subset is not None and subset != "train":  # "train" gives val or test where the upload named none
            division.put([place], subset)
    copies = _copies(division, there)
    units = _units(division, there, copies, named)
    _settle(division, units, copies)
    free = [tuple(place for place in unit if place not in division.part_of) for unit in units]
    free = sorted((unit for unit in free if unit), key=lambda unit: _digest(division, unit))
    if not free:
        return
    have = division.counts()
    total = have.sum(axis=0) + division.rows[[place for unit in free for place in unit]].sum(axis=0)
    test, val = float(shares_["test"]), float(shares_["val"])
    filled = {division.items[place].subset for place in newcomers}
    takes = np.array([part == "train" or part not in filled for part in PARTS])
    asked = np.where(takes, [1.0 - test - val, val, test], 0.0)
    want = np.outer(asked / asked.sum(), total - have[~takes].sum(axis=0))  # of what the upload left to be divided
    _one_each(want, takes)
    demand = Demand(have=have, want=want, open=takes)
    rows = np.stack([division.rows[list(unit)].sum(axis=0) for unit in free])
    for unit, part in zip(free, stratify(rows, demand, seed=f"{shares_['seed']}:{generation}"), strict=True):
        division.put(unit, PARTS[part])


def _one_each(want: np.ndarray, takes: np.ndarray) -> None:
    """Ask for one image of each label in every part that takes any, where there are so many. In place."""
    for label in range(want.shape[1] - 2):
        if want[takes, label].sum() >= takes.sum():
            for part in np.flatnonzero(takes)[1:]:  # the first trains, and can spare it
                want[0, label] -= max(0.0, 1.0 - want[part, label])
                want[part, label] = max(1.0, want[part, label])


def _copies(division: _Division, there: Sequence[int]) -> list[Group]:
    """Groups of the same picture among the images at some places."""
    return [tuple(there[at] for at in group) for group in same_pictures([division.items[place] for place in there])]


def _units(division: _Division, there: Sequence[int], copies: Sequence[Group], named: Sequence[Group]) -> list[Group]:
    """What stays on one side, groups of one image too.

    Where the recipe has a rule of its own, copies in two of its groups do not make one of these: a few empty strips
    would tie all boards together. They are told as leaked where they straddle.
    """
    inside = set(there)
    kept = [kin for group in named if (kin := tuple(place for place in group if place in inside))]
    everyone = joined(len(division.items), kept or copies)
    return [unit for unit in everyone if unit[0] in inside]


def _settle(division: _Division, units: Sequence[Group], copies: Sequence[Group]) -> None:
    """Newcomers go where their unit is; equal files of contradictory labels train, with their copies."""
    contradictory = {place for group in copies for place in _contradictory(division, group)}
    for unit in units:
        known = {division.part_of[place] for place in unit if place in division.part_of}
        free = [place for place in unit if place not in division.part_of and division.items[place].subset is None]
        if known:  # where old copies lie on several sides, one more in training spoils nothing that was clean
            division.put(free, min(known, key=PARTS.index))
        elif contradictory.issuperset(unit) or (not division.grouped and contradictory.intersection(unit)):
            division.put(free, "train")


def _contradictory(division: _Division, group: Group) -> list[int]:
    """Equal files that carry different labels. Near copies may: two strips of one board differ by the defect."""
    return [
        place
        for places in equal_files(division.items, group)
        if len({division.labels(division.items[place]) for place in places}) > 1
        for place in places
    ]


def _digest(division: _Division, unit: Group) -> str:
    return min(division.items[place].digest for place in unit)


def _require_all_parts(division: _Division, dataset: Dataset, *, grouped: str) -> None:
    """Raise where a class or label misses a part.

    Raises:
        DatasetError: names it, and on how many images it is.
    """
    parts: dict[str, Counter[Subset]] = defaultdict(Counter)
    for place, item in enumerate(dataset.items):
        for label in labels_of(item, dataset.info.task):
            parts[label][division.part_of[place]] += 1
    word, words = ("label", "labels") if division.several else ("class", "classes")
    for label in dataset.class_names:
        missing = [part for part in PARTS if not parts[label][part]]
        if not missing:
            continue
        count = sum(parts[label].values())
        apart = f"that data.group_by '{grouped}' can tell apart" if grouped else "that are not copies of each other"
        images = "1 image" if count == 1 else f"{count} images"
        raise DatasetError(
            f"The {word} '{label}' is on {images}, and {' and '.join(missing)} got none of them. It must be on at "
            f"least {LEAST_IMAGES} {apart}: one each for training, validation and test. "
            f"Add images, or choose the {words} without it."
        )


def _as_split(division: _Division, dataset: Dataset, named: Sequence[Group], *, rule: DataSettings, seed: int) -> Split:
    size = len(dataset.items)
    everyone = list(range(len(division.items)))
    copies = _copies(division, everyone)
    same = [tuple(place for place in group if place < size) for group in copies]
    units = _units(division, everyone, copies, named) if rule.group_by else []
    together = [tuple(place for place in unit if place < size) for unit in units]
    train, val, test = (tuple(place for place in range(size) if division.part_of[place] == part) for part in PARTS)
    return Split(
        train=train,
        val=val,
        test=test,
        seed=seed,
        strategy=f"{STRATEGY}, grouped by {rule.group_by}" if rule.group_by else STRATEGY,
        leaked=straddling(same, division.part_of),
        same=tuple(group for group in same if len(group) > 1),
        together=tuple(group for group in together if len(group) > 1),
        grouped_by=rule.group_by or None,
    )
