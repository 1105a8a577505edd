"""Which file has which classes: from a table, or from the folders. It looks at names only and opens no picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

from backend.contracts import SkippedFile, Subset
from backend.contracts.dataset import Task
from backend.data.images import IMAGE_SUFFIXES
from backend.data.label_table import LabelTable, read_label_table
from backend.data.masks import Mask, is_severstal, read_masks
from backend.data.members import Member, MemberSource
from backend.data.names import MAX_LABEL, shown
from backend.data.subsets import SPLIT_FOLDERS, common_folder, outer_split, subset_of

LABEL = 1  # its place in `Labelled`
TABLE_FILES = frozenset({"labels.csv", "metadata.csv"})
# What telephones, cameras and drawing programs write, and people rightly call pictures.
PICTURES_NOT_READ = frozenset(
    {".heic", ".heif", ".jxl", ".jp2", ".svg", ".psd", ".dng", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".dcm", ".ico"}
)


class Labelled(NamedTuple):
    """A picture and its classes. `label` is the first of them, "" where a multi-label picture has none."""

    member: Member
    label: str
    labels: tuple[str, ...] = ()
    subset: Subset | None = None


@dataclass(frozen=True)
class Labelling:
    """All pictures with their classes, in the order of (class, name), and what was left out."""

    pictures: tuple[Labelled, ...]
    skipped: tuple[SkippedFile, ...]
    notes: tuple[str, ...] = ()
    task: Task = "multiclass"
    masks: tuple[Mask, ...] = ()

    @property
    def classes(self) -> set[str]:
        several = chain.from_iterable(one.labels for one in self.pictures if one.labels)
        return {*several, *(one.label for one in self.pictures)} - {""}


def assign_labels(source: MemberSource) -> Labelling:
    """Give every picture of the source its classes.

    Raises:
        DatasetError: `labels.csv` is not usable.
    """
    pictures: list[Member] = []
    others: list[Member] = []
    for member in source.members:
        (pictures if member.suffix in IMAGE_SUFFIXES else others).append(member)
    used, found = _by_any_table(source, pictures, others)
    if found is None:
        found = _by_folder(pictures)
    strangers = tuple(_not_a_picture(member) for member in others if member not in used)
    ordered = _in_order(_with_subsets(found.pictures))
    return replace(found, pictures=ordered, skipped=(*source.skipped, *strangers, *found.skipped))


def _in_order(pictures: Sequence[Labelled]) -> tuple[Labelled, ...]:
    """By label, then by name: two stable sorts, as a pair to compare each picture by takes three times as long."""
    by_name = sorted(pictures, key=lambda one: one.member.name)
    return tuple(sorted(by_name, key=itemgetter(LABEL)))


def _by_any_table(
    source: MemberSource, pictures: Sequence[Member], others: Sequence[Member]
) -> tuple[Sequence[Member], Labelling | None]:
    """The tables that count, and what they say; None: there is none that does."""
    named = [member for member in others if member.parts[-1].lower() in TABLE_FILES]
    read = [(member, table) for member in named if (table := read_label_table(source, member)) is not None]
    if read:
        return [member for member, _ in read], _by_table(pictures, read)
    for member in others:
        if is_severstal(source, member):
            return [member], _by_masks(pictures, member, read_masks(source, member))
    return [], None


def _not_a_picture(member: Member) -> SkippedFile:
    if member.suffix in PICTURES_NOT_READ:
        reason = f"a picture of a format that is not read here; save it as JPEG or PNG ('{member.suffix}')"
        return SkippedFile(file=shown(member.name), reason=reason)
    kind = f"'{shown(member.suffix, limit=20)}'" if member.suffix else "a file without suffix"
    return SkippedFile(file=shown(member.name), reason=f"not an image: {kind} is not a format that is read here")


def _with_subsets(pictures: Sequence[Labelled]) -> Sequence[Labelled]:
    """Keep the subsets only where there are two: all pictures in one would leave nothing to test on."""
    if len({one.subset for one in pictures} - {None}) != 1:
        return pictures
    return [one._replace(subset=None) for one in pictures]


# -- folders


def _by_folder(pictures: Sequence[Member]) -> Labelling:
    kept: list[Labelled] = []
    skipped: list[SkippedFile] = []
    names = [member.name.rpartition("/")[0] for member in pictures]
    folders = {tuple(name.split("/")) if name else () for name in set(names)}
    outer = common_folder(folders)
    class_first = _split_below_class(folders)
    meant: dict[str, tuple[str, Subset | None, str | None]] = {}  # by folder: thousands of pictures lie in few
    for member, name in zip(pictures, names, strict=True):
        if name not in meant:
            folder = member.parts[:-1]
            if class_first:
                meant[name] = (folder[-2], subset_of(folder[-1]), None)
            elif reason := _why_no_class(folder, folders=folders, outer=outer):
                meant[name] = ("", None, reason)
            else:
                meant[name] = (folder[-1], outer_split(folder[:-1]), None)
        label, subset, why_not = meant[name]
        if why_not:
            skipped.append(SkippedFile(file=shown(member.name), reason=why_not))
        else:
            kept.append(Labelled(member, label, subset=subset))
    return Labelling(tuple(kept), tuple(skipped))


def _split_below_class(folders: set[tuple[str, ...]]) -> bool:
    """Whether every picture lies in `<class>/train` or the like, with at least two classes above."""
    above = {folder[:-1] for folder in folders}
    return (
        len(above) >= 2
        and all(len(folder) >= 2 and folder[-1].lower() in SPLIT_FOLDERS for folder in folders)
        and len({folder[-1] for folder in above}) >= 2
    )


def _why_no_class(folder: tuple[str, ...], *, folders: set[tuple[str, ...]], outer: tuple[str, ...]) -> str | None:
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


# -- tables


class _Index:
    """Finds the picture that a row means: by its path beside the table, by its full path, by its bare name."""

    def __init__(self, pictures: Sequence[Member]) -> None:
        self._by_path: dict[str, list[Member]] = {}
        self._by_base: dict[str, list[Member]] = {}
        self._by_stem: dict[str, Member] = {}
        for member in pictures:
            self._by_path.setdefault(member.name, []).append(member)
            self._by_base.setdefault(member.parts[-1], []).append(member)
            self._by_stem.setdefault(_stem(member.name), member)

    def find(self, table: Member, filename: str) -> list[Member]:
        """Return the pictures that may be meant: one where the row is clear."""
        beside = "/".join((*table.parts[:-1], filename))
        base = filename.rsplit("/", maxsplit=1)[-1]
        return self._by_path.get(beside) or self._by_path.get(filename) or self._by_base.get(base, [])

    def nearly(self, filename: str) -> Member | None:
        """A picture of this name with another ending, or of this name without one."""
        return self._by_stem.get(_stem(filename)) or self._by_stem.get(filename.rpartition("/")[2].lower())


def _stem(filename: str) -> str:
    return filename.rpartition("/")[2].rpartition(".")[0].lower()


def _by_table(pictures: Sequence[Member], tables: Sequence[tuple[Member, LabelTable]]) -> Labelling:
    several = any(table.several for _, table in tables)
    kept: dict[str, Labelled] = {}
    skipped: list[SkippedFile] = []
    explained: set[str] = set()
    index = _Index(pictures)
    for member, table in tables:
        for row in table.rows:
            found = index.find(member, row.filename)
            reason = _why_no_row(
                found, row.labels, kept=kept, table=member, nearly=None if found else index.nearly(row.filename)
            ) or _why_no_labels(row.labels, several=several)
            if reason:
                skipped.append(SkippedFile(file=shown(row.filename), reason=reason))
                explained.update(one.name for one in found)
            else:
                kept[found[0].name] = _labelled(found[0], row.labels, several=several, subset=subset_of(row.subset))
    name = tables[0][0].parts[-1]
    skipped += [
        SkippedFile(file=shown(member.name), reason=f"not named in {shown(name)}")
        for member in pictures
        if member.name not in kept and member.name not in explained
    ]
    notes = tuple(dict.fromkeys(note for _, table in tables for note in table.notes if not several))
    task: Task = "multilabel" if several else "multiclass"
    return Labelling(tuple(kept.values()), tuple(skipped), notes, task)


def _labelled(member: Member, labels: Sequence[str], *, several: bool, subset: Subset | None) -> Labelled:
    ordered = sorted(labels)
    return Labelled(
        member,
        label=ordered[0] if ordered else "",
        labels=tuple(ordered) if several else (),
        subset=subset or outer_split(member.parts[:-1]),
    )


def _why_no_row(
    found: Sequence[Member],
    labels: Sequence[str],
    *,
    kept: Mapping[str, Labelled],
    table: Member,
    nearly: Member | None,
) -> str | None:
    name = shown(table.parts[-1])
    if not found and nearly is not None:
        return f"named in {name}, but in the archive it is called '{shown(nearly.name)}'; write that into {name}"
    if not found:
        return f"named in {name}, but not in the archive as a picture"
    if len(found) > 1:
        return f"named in {name}, but {len(found)} pictures in different folders have this name"
    before = kept.get(found[0].name)
    if before is not None:
        first, second = shown(_words(before.labels or (before.label,))), shown(_words(labels))
        return f"named twice in {name}, as '{first}' and '{second}'; the first counts"
    return None


def _why_no_labels(labels: Sequence[str], *, several: bool) -> str | None:
    if not labels and not several:
        return _why_not_label("")
    return next((reason for label in labels if (reason := _why_not_label(label))), None)


def _words(labels: Sequence[str]) -> str:
    return ", ".join(labels)


# -- masks


def _by_masks(pictures: Sequence[Member], table: Member, masks: Sequence[Mask]) -> Labelling:
    """Pictures without a row have no defect, except those of folders of which the table does not speak at all."""
    index = _Index(pictures)
    by_picture: dict[str, set[str]] = {}
    skipped: list[SkippedFile] = []
    names: dict[str, str] = {}
    for filename in dict.fromkeys(one.filename for one in masks):
        found = index.find(table, filename)
        reason = _why_no_row(found, (), kept={}, table=table, nearly=None if found else index.nearly(filename))
        if reason:
            skipped.append(SkippedFile(file=shown(filename), reason=reason))
        else:
            names[filename] = found[0].name
    for one in masks:
        if one.filename in names:
            by_picture.setdefault(names[one.filename], set()).add(one.label)
    spoken_of = {name.rpartition("/")[0] for name in names.values()}
    kept = []
    for member in pictures:
        if member.name.rpartition("/")[0] in spoken_of:
            labels = sorted(by_picture.get(member.name, ()))
            kept.append(_labelled(member, labels, several=True, subset=None))
        else:
            reason = f"lies in a folder that {table.parts[-1]} does not speak of"
            skipped.append(SkippedFile(file=shown(member.name), reason=reason))
    kept_masks = tuple(replace(one, filename=names[one.filename]) for one in masks if one.filename in names)
    return Labelling(tuple(kept), tuple(skipped), (), "multilabel", kept_masks)
