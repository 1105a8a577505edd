"""An archive or a folder becomes a dataset: every file is read once, checked, hashed and stored under a name of ours.

It does not know who asked. Members are untrusted: a picture's name is made from its own hash and lies in a pack that is
called by a number, so that no name from outside ever reaches the disk; equal pictures are one.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from backend.config import Settings
from backend.contracts import Dataset, DatasetInfo, ImageItem, RunControl, SkippedFile
from backend.contracts.dataset import Task
from backend.data.archive import ArchiveLimits, open_archive
from backend.data.collecting import no_collection
from backend.data.findings import warnings_for
from backend.data.images import ALLOWED
from backend.data.ingest import take_all
from backend.data.insights import write_insights
from backend.data.labels import Labelled, Labelling, assign_labels
from backend.data.manifest import save_dataset
from backend.data.masks import MASKS_FILE, masks_table
from backend.data.members import MemberSource
from backend.data.names import clean_name, shown
from backend.data.taking import SHORT_DIGEST, Intake, Taken
from backend.errors import DatasetError, TooLargeError
from backend.storage.files import atomic_directory, atomic_write, free_bytes, new_id

logger = logging.getLogger(__name__)

MAX_LISTED = 1000
SPARE_BYTES = 64 * 2**20
LAYOUT = "Make one folder for each class, with its images inside, and pack the folders as ZIP or TAR.GZ"


@dataclass(frozen=True)
class Found:
    """What a source holds: items, whose files lie below the folder they were read into, and what was left out."""

    items: tuple[ImageItem, ...]
    skipped: tuple[SkippedFile, ...]
    task: Task
    notes: tuple[str, ...] = ()
    masks: str = ""


@dataclass(frozen=True)
class ImportPlan:
    """How an import is done. `processes`: that many read the pictures of a large one; 1: only this one.

    `dataset_id`: the new dataset's, where somebody was told already. `known`: digests of pictures that are stored.
    """

    settings: Settings
    control: RunControl
    processes: int = 1
    dataset_id: str | None = None
    known: frozenset[str] = frozenset()


def import_archive(
    source: Path | BinaryIO, *, into: Path, name: str, settings: Settings, control: RunControl | None = None
) -> Dataset:
    """Import a ZIP or TAR as a new dataset, `into/<dataset_id>`; the folder is there whole or not at all.

    Raises:
        ArchiveError: no archive, or not a safe one.
        DatasetError: no images, or a single class.
        TooLargeError: over the limits of the settings, or more than the disk can hold.
        JobCancelled: somebody asked to stop; nothing is left behind.
    """
    with open_archive(source, limits=ArchiveLimits.from_settings(settings)) as archive:
        return import_members(archive, into=into, name=name, plan=ImportPlan(settings, control or RunControl()))


def import_members(source: MemberSource, *, into: Path, name: str, plan: ImportPlan) -> Dataset:
    """Import the files of an opened source; as `import_archive`."""
    with no_collection():
        return _import(source, into=into, name=name, plan=plan)


def _import(source: MemberSource, *, into: Path, name: str, plan: ImportPlan) -> Dataset:
    labelling = assign_labels(source)
    _require_classes(labelling.classes, labelling.task, labelling.skipped)
    _require_room(labelling, into)
    dataset_id = plan.dataset_id or new_id("ds")
    with atomic_directory(into / dataset_id) as folder:
        found = _read(source, labelling, folder=folder, plan=plan)
        _require_classes(_classes(found.items), found.task, found.skipped)
        info = _describe(dataset_id, name=name, found=found)
        if found.masks:
            atomic_write(folder / MASKS_FILE, found.masks)
        dataset = Dataset(info=info, root=folder, items=found.items)
        write_insights(dataset, folder)
        save_dataset(dataset, folder)
    logger.info(
        "dataset imported",
        extra={"dataset_id": dataset_id, "images": info.total_images, "classes": info.num_classes},
    )
    return Dataset(info=info, root=into / dataset_id, items=found.items)


def read_members(source: MemberSource, *, folder: Path, plan: ImportPlan) -> Found:
    """Read a source's pictures into `folder/images`, which is made, without asking for a certain number of classes.

    Raises:
        TooLargeError: more than the disk can hold.
        DatasetError: a `labels.csv` that cannot be used.
        JobCancelled: somebody asked to stop.
    """
    with no_collection():
        labelling = assign_labels(source)
        _require_room(labelling, folder)
        return _read(source, labelling, folder=folder, plan=plan)


def _read(source: MemberSource, labelling: Labelling, *, folder: Path, plan: ImportPlan) -> Found:
    intake = Intake(folder=folder, max_pixels=plan.settings.max_image_pixels, known=plan.known)
    members = [picture.member for picture in labelling.pictures]
    all_taken = take_all(source, members, into=intake, processes=plan.processes, control=plan.control)
    items: list[ImageItem] = []
    damaged: list[SkippedFile] = []
    image_ids: dict[str, str] = {}
    repeats: Counter[str] = Counter()
    paths: dict[str, str] = {}  # the first of equal pictures is the one that is read
    for picture, taken in zip(labelling.pictures, all_taken, strict=True):
        if taken.problem:
            damaged.append(SkippedFile(file=shown(picture.member.name), reason=taken.problem, damaged=True))
            continue
        items.append(_item(picture, taken, path=paths.setdefault(taken.digest, taken.path), repeats=repeats))
        image_ids[picture.member.name] = items[-1].image_id
    return Found(
        items=tuple(items),
        skipped=(*labelling.skipped, *damaged),
        task=labelling.task,
        notes=labelling.notes,
        masks=masks_table(labelling.masks, image_ids) if labelling.masks else "",
    )


def _item(picture: Labelled, taken: Taken, *, path: str, repeats: Counter[str]) -> ImageItem:
    short = taken.digest[:SHORT_DIGEST]
    repeats[short] += 1
    return ImageItem(
        image_id=short if repeats[short] == 1 else f"{short}-{repeats[short]}",
        path=path,
        label=picture.label,
        labels=picture.labels,
        file=picture.member.name,
        digest=taken.digest,
        width=taken.width,
        height=taken.height,
        subset=picture.subset,
        facts=taken.facts,
    )


def _classes(items: Iterable[ImageItem]) -> set[str]:
    return {label for item in items for label in (item.labels or (item.label,)) if label}


def _describe(dataset_id: str, *, name: str, found: Found) -> DatasetInfo:
    labels = (label for item in found.items for label in (item.labels if found.task == "multilabel" else (item.label,)))
    counts = dict(sorted(Counter(labels).items()))
    return DatasetInfo(
        dataset_id=dataset_id,
        name=shown(name, limit=120) or "dataset",
        task=found.task,
        total_images=len(found.items),
        num_classes=len(counts),
        class_counts=counts,
        skipped=_shortened(found.skipped),
        warnings=(*warnings_for(found.items, counts), *found.notes),
        digest=dataset_digest(found.items),
    )


def dataset_digest(items: Iterable[ImageItem]) -> str:
    """SHA-256 over the sorted (digest, labels) of all items: names and order of the files do not count."""
    lines = sorted(f"{item.digest} {'|'.join(item.labels) or item.label}\n" for item in items)
    return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()


def _shortened(skipped: tuple[SkippedFile, ...]) -> tuple[SkippedFile, ...]:
    if len(skipped) <= MAX_LISTED:
        return skipped
    rest = len(skipped) - MAX_LISTED
    return (*skipped[:MAX_LISTED], SkippedFile(file=f"({rest} more files)", reason="skipped too, and not listed here"))


def _require_classes(labels: set[str], task: Task, skipped: Sequence[SkippedFile]) -> None:
    if len(labels) >= (1 if task == "multilabel" else 2):
        return
    reasons = "; ".join(f"'{entry.file}': {entry.reason.rstrip('.')}" for entry in skipped[:3])
    hint = f" {len(skipped)} files were skipped, such as {reasons}." if skipped else ""
    if not labels:
        raise DatasetError(f"No usable images were found. {LAYOUT}; allowed are {ALLOWED}.{hint}")
    only = shown(clean_name(next(iter(labels))))
    raise DatasetError(f"All images belong to one class, '{only}'; at least 2 classes are needed. {LAYOUT}.{hint}")


def _require_room(labelling: Labelling, into: Path) -> None:
    needed = sum(one.member.size for one in labelling.pictures) + SPARE_BYTES
    free = free_bytes(into)
    if needed > free:
        raise TooLargeError(
            f"The images need {needed // 2**20} MiB on the server's disk, which has {free // 2**20} MiB free. "
            "Delete datasets that are no longer needed, or send fewer images."
        )
