"""Which images belong together: by their files' names, such as all strips of one board, or as equal files. Pure.

A rule is no regular expression on purpose: one from outside can run for hours. What a group is good for is not known
here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from backend.contracts import ImageItem, Subset
from backend.data.names import shown
from backend.errors import DatasetError, RecipeError

Group = tuple[int, ...]  # places of images


def group_name(rule: str, file: str) -> str:
    """The group that a file of an upload belongs to: `prefix:5`, `before:_` or `folder`.

    Where the separator does not occur, the whole name without its suffix is the group.

    Raises:
        RecipeError: there is no such rule.
    """
    folder, _, name = file.rpartition("/")
    stem = name.rpartition(".")[0] or name
    kind, _, value = rule.partition(":")
    if kind == "folder" and not value:
        return folder
    if kind == "prefix" and value.isdecimal() and int(value) > 0:
        return stem[: int(value)]
    if kind == "before" and value:
        return stem.partition(value)[0]
    raise RecipeError(
        f"There is no rule '{shown(rule)}' for data.group_by. Allowed are 'prefix:5' (the first 5 characters of the "
        "file's name), 'before:_' (what stands before the first _) and 'folder'."
    )


def groups_by_name(items: Sequence[ImageItem], rule: str) -> list[Group]:
    """Places of the images of each group, groups of one image too, in the order of their first image.

    Raises:
        DatasetError: a file's name is not known, as it was not kept when the dataset was imported.
        RecipeError: there is no such rule.
    """
    nameless = sum(not item.file for item in items)
    if nameless:
        raise DatasetError(
            f"data.group_by needs the names of the uploaded files, and {nameless} of {len(items)} images were imported "
            "before names were kept. Upload the dataset again, or leave data.group_by out."
        )
    found: dict[str, list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        found[group_name(rule, item.file)].append(place)
    return [tuple(places) for places in found.values()]


def joined(total: int, groups: Iterable[Group]) -> list[Group]:
    """Groups that share an image made one, transitively; of `total` images those in no group stand alone."""
    leader = list(range(total))

    def find(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    for group in groups:
        for place in group[1:]:
            first, other = sorted((find(group[0]), find(place)))
            leader[other] = first
    members: dict[int, list[int]] = defaultdict(list)
    for place in range(total):
        members[find(place)].append(place)
    return [tuple(places) for places in members.values()]


def equal_files(items: Sequence[ImageItem], group: Group) -> list[Group]:
    """A group of near copies taken apart into equal files."""
    by_digest: dict[str, list[int]] = defaultdict(list)
    for place in group:
        by_digest[items[place].digest].append(place)
    return [tuple(places) for places in by_digest.values()]


def straddling(groups: Iterable[Group], part_of: Mapping[int, Subset]) -> tuple[int, ...]:
    """Test places whose copies lie in train or val."""
    return tuple(
        sorted(
            place
            for group in groups
            if len({part_of[place] == "test" for place in group}) == 2
            for place in group
            if part_of[place] == "test"
        )
    )
