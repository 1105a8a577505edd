"""Which file is which class: from the folders, or from a `labels.csv`. It looks at names only and opens no picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.contracts import SkippedFile
from backend.data.images import IMAGE_SUFFIXES
from backend.data.label_table import is_severstal, read_label_rows
from backend.data.members import Member, MemberSource
from backend.data.names import MAX_LABEL, shown
from backend.errors import DatasetError

LABELS_FILE = "labels.csv"
# Folders by which people divide a dataset beforehand. They are no classes where class folders stand beside or below.
SPLIT_FOLDERS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval"})
SEVERSTAL = (
    "This is a Severstal-style 'train.csv' with masks (ImageId, ClassId, EncodedPixels), where a picture can have "
    "several classes. This version trains multi-class models only: one class for each picture. Sort the pictures into "
    "one folder a class, or add a 'labels.csv' with the columns 'filename' and 'label'."
)


@dataclass(frozen=True)
class Labelled:
    """A picture and its class."""

    member: Member
    label: str


@dataclass(frozen=True)
class Labelling:
    """All pictures with a class, in the order of (class, name), and what was left out."""

    pictures: tuple[Labelled, ...]
    skipped: tuple[SkippedFile, ...]
    notes: tuple[str, ...] = ()


def assign_labels(source: MemberSource) -> Labelling:
    """Give every picture of the source its class.

    Raises:
        DatasetError: the labels are of a kind that this version does not train on, or `labels.csv` is not usable.
    """
    pictures = [member for member in source.members if member.suffix in IMAGE_SUFFIXES]
    others = [member for member in source.members if member.suffix not in IMAGE_SUFFIXES]
    tables = [member for member in others if member.parts[-1].lower() == LABELS_FILE]
    if tables:
        found = _by_table(source, pictures, tables)
    else:
        _refuse_severstal(source, others)
        found = _by_folder(pictures)
    strangers = tuple(_not_a_picture(member) for member in others if member not in tables)
    ordered = tuple(sorted(found.pictures, key=lambda one: (one.label, one.member.name)))
    return Labelling(ordered, (*source.skipped, *strangers, *found.skipped), found.notes)


def _not_a_picture(member: Member) -> SkippedFile:
    kind = f"'{shown(member.suffix, limit=20)}'" if member.suffix else "a file without suffix"
    return SkippedFile(file=shown(member.name), reason=f"not an image: {kind} is not a format that is read here")


def _refuse_severstal(source: MemberSource, others: Sequence[Member]) -> None:
    for member in others:
        if member.parts[-1].lower() == "train.csv" and is_severstal(source, member):
            raise DatasetError(SEVERSTAL)


def _by_folder(pictures: Sequence[Member]) -> Labelling:
    kept: list[Labelled] = []
    skipped: list[SkippedFile] = []
    folders = {member.parts[:-1] for member in pictures}
    outer = _common_folder(folders)
    for member in pictures:
        reason = _why_no_class(member, folders=folders, outer=outer)
        if reason:
            skipped.append(SkippedFile(file=shown(member.name), reason=reason))
        else:
            kept.append(Labelled(member, member.parts[-2]))
    return Labelling(tuple(kept), tuple(skipped), _split_note(kept))


def _why_no_class(member: Member, *, folders: set[tuple[str, ...]], outer: tuple[str, ...]) -> str | None:
    folder = member.parts[:-1]
    if not folder or (folder == outer and len(folders) > 1):
        return "lies beside the class folders, not in one of them"
    if folder[-1].lower() in SPLIT_FOLDERS and _has_split_with_classes(folders, depth=len(folder)):
        return f"lies in '{shown(folder[-1])}' itself, where other pictures lie in a class folder below"
    return _why_not_label(folder[-1])


def _why_not_label(label: str) -> str | None:
    if not label:
        return "its class name is empty"
    if len(label) > MAX_LABEL:
        return f"its class name has {len(label)} characters; at most {MAX_LABEL} are allowed"
    return None


def _has_split_with_classes(folders: set[tuple[str, ...]], *, depth: int) -> bool:
    return any(len(folder) > depth and folder[depth - 1].lower() in SPLIT_FOLDERS for folder in folders)


def _common_folder(folders: set[tuple[str, ...]]) -> tuple[str, ...]:
    if not folders:
        return ()
    shortest, longest = min(folders), max(folders)  # what the two ends of the order share, all share
    for place, (left, right) in enumerate(zip(shortest, longest, strict=False)):
        if left != right:
            return shortest[:place]
    return shortest[: len(longest)]


def _split_note(kept: Sequence[Labelled]) -> tuple[str, ...]:
    places: dict[str, set[str]] = {}
    for one in kept:
        for folder in one.member.parts[:-2]:
            if folder.lower() in SPLIT_FOLDERS:
                places.setdefault(folder, set()).add(one.label)
    if len(places) < 2:
        return ()
    names = ", ".join(f"`{name}`" for name in sorted(places))
    return (f"The folders {names} were merged; the images are divided into train, validation and test anew.",)


class _Index:
    """Finds the picture that a row means: by its path beside the table, by its full path, by its bare name."""

    def __init__(self, pictures: Sequence[Member]) -> None:
        self._by_path: dict[str, list[Member]] = {}
        self._by_base: dict[str, list[Member]] = {}
        for member in pictures:
            self._by_path.setdefault(member.name, []).append(member)
            self._by_base.setdefault(member.parts[-1], []).append(member)

    def find(self, table: Member, filename: str) -> list[Member]:
        """Return the pictures that may be meant: one where the row is clear."""
        beside = "/".join((*table.parts[:-1], filename))
        base = filename.rsplit("/", maxsplit=1)[-1]
        return self._by_path.get(beside) or self._by_path.get(filename) or self._by_base.get(base, [])


def _by_table(source: MemberSource, pictures: Sequence[Member], tables: Sequence[Member]) -> Labelling:
    kept: dict[str, Labelled] = {}
    skipped: list[SkippedFile] = []
    explained: set[str] = set()
    index = _Index(pictures)
    for table in tables:
        for filename, label in read_label_rows(source, table):
            found = index.find(table, filename)
            reason = _why_no_row(found, label=label, kept=kept)
            if reason:
                skipped.append(SkippedFile(file=shown(filename), reason=reason))
                explained.update(member.name for member in found)
            else:
                kept[found[0].name] = Labelled(found[0], label)
    skipped += [
        SkippedFile(file=shown(member.name), reason=f"not named in {LABELS_FILE}")
        for member in pictures
        if member.name not in kept and member.name not in explained
    ]
    return Labelling(tuple(kept.values()), tuple(skipped))


def _why_no_row(found: Sequence[Member], *, label: str, kept: Mapping[str, Labelled]) -> str | None:
    if not found:
        return f"named in {LABELS_FILE}, but not in the archive as a picture"
    if len(found) > 1:
        return f"named in {LABELS_FILE}, but {len(found)} pictures in different folders have this name"
    before = kept.get(found[0].name)
    if before is not None:
        return f"named twice in {LABELS_FILE}, as '{shown(before.label)}' and '{shown(label)}'; the first counts"
    return _why_not_label(label)
