"""Folders by which people divide a dataset beforehand: train, val, test, and their other names. Names only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from backend.contracts import Subset

# They are no classes where class folders stand beside or below.
SUBSETS: dict[str, Subset] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "eval": "test",
}  # fmt: skip
SPLIT_FOLDERS = frozenset(SUBSETS)


def subset_of(name: str) -> Subset | None:
    """The subset that a folder or a cell names, in any case; None where it names none."""
    return SUBSETS.get(name.strip().lower())


def outer_split(folders: Sequence[str]) -> Subset | None:
    """The subset of the innermost split folder among a file's outer folders."""
    return next((found for folder in reversed(folders) if (found := subset_of(folder)) is not None), None)


def common_folder(folders: set[tuple[str, ...]]) -> tuple[str, ...]:
    """The folder in which all others lie."""
    if not folders:
        return ()
    shortest, longest = min(folders), max(folders)  # what the two ends of the order share, all share
    for place, (left, right) in enumerate(zip(shortest, longest, strict=False)):
        if left != right:
            return shortest[:place]
    return shortest[: len(longest)]


def split_note(subsets: Iterable[Subset | None]) -> tuple[str, ...]:
    """What was understood of the folders, for people."""
    counts = Counter(subset for subset in subsets if subset is not None)
    if not counts:
        return ()
    parts = ", ".join(f"{counts[name]} in `{name}`" for name in ("train", "val", "test") if counts[name])
    return (f"The parts that the upload divides the images into are kept: {parts}.",)
