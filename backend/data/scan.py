"""An archive or a folder becomes a dataset: every file is read once, checked, hashed and stored under a name of ours.

It does not know who asked. Members are untrusted: a picture's name is made from its own hash and lies in a pack that is
called by a number, so that no name from outside ever reaches the disk; equal pictures are one.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from backend.config import Settings
from backend.contracts import Dataset, DatasetInfo, ImageItem, RunControl, SkippedFile
from backend.contracts.dataset import Task
from backend.data.archive import ArchiveLimits, open_archive
from backend.data.collecting import no_collection
from backend.data.findings import warnings_about
from backend.data.found import Found, columns_found, looks_of_found
from backend.data.images import ALLOWED
from backend.data.ingest import Hands, hands, take_all
from backend.data.insights import described, store_insights
from backend.data.labels import Labelling, assign_labels
from backend.data.manifest import save_info, save_items
from backend.data.masks import MASKS_FILE, masks_table
from backend.data.members import MemberSource
from backend.data.names import clean_name, shown
from backend.data.subsets import split_note
from backend.data.taking import Intake
from backend.data.tasks import Taken
from backend.errors import DatasetError, TooLargeError
from backend.storage.files import atomic_directory, atomic_write, free_bytes, new_id
from backend.storage.flush import flush_tree

logger = logging.getLogger(__name__)

MAX_LISTED = 1000
SPARE_BYTES = 64 * 2**20
LAYOUT = "Make one folder for each class, with its images inside, and pack the folders as ZIP or TAR.GZ"


@dataclass(frozen=True)
class Stored:
    """A dataset that lies in its folder, `root`; its items are there."""

    info: DatasetInfo
    root: Path


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
        stored, found = _store(source, into=into, name=name, plan=plan)
        return Dataset(info=stored.info, root=stored.root, items=found.items)


def store_members(source: MemberSource, *, into: Path, name: str, plan: ImportPlan) -> Stored:
    """As `import_members`, for whoever does not go on with the items: 50,000 records take 0.2 s to make."""
    with no_collection():
        return _store(source, into=into, name=name, plan=plan)[0]


def _store(source: MemberSource, *, into: Path, name: str, plan: ImportPlan) -> tuple[Stored, Found]:
    with _hands(source, plan) as ours:
        labelling = assign_labels(source)
        _require_classes(labelling.classes, labelling.task, labelling.skipped)
        _require_room(labelling, into)
        dataset_id = plan.dataset_id or new_id("ds")
        with atomic_directory(into / dataset_id) as folder:
            found, taken = _read(source, labelling, into=folder, by=ours, control=plan.control)
            _require_classes(_classes(found.labels), found.task, found.skipped)
            with _written_meanwhile(found, folder):
                info = _describe(dataset_id, name=name, found=found)
                insights = described(info, looks_of_found(found, taken))
            if found.masks:
                atomic_write(folder / MASKS_FILE, found.masks)
            store_insights(insights, folder)
            save_info(info, folder)
    logger.info(
        "dataset imported",
        extra={"dataset_id": dataset_id, "images": info.total_images, "classes": info.num_classes},
    )
    return Stored(info, into / dataset_id), found


def _hands(source: MemberSource, plan: ImportPlan) -> AbstractContextManager[Hands]:
    intake = Intake(max_pixels=plan.settings.max_image_pixels, known=plan.known)
    return hands(source, intake, processes=plan.processes)


@contextmanager
def _written_meanwhile(found: Found, folder: Path) -> Iterator[None]:
    """Bring pictures and items to the disk while the caller works out what is to be said of them."""
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(_write, found, folder)
        yield
        writing.result()


def _write(found: Found, folder: Path) -> None:
    flush_tree(folder)
    save_items(found.columns, folder)


def read_members(source: MemberSource, *, folder: Path, plan: ImportPlan) -> Found:
    """Read a source's pictures into `folder/images`, which is made, without asking for a certain number of classes.

    Raises:
        TooLargeError: more than the disk can hold.
        DatasetError: a `labels.csv` that cannot be used.
        JobCancelled: somebody asked to stop.
    """
    with no_collection(), _hands(source, plan) as ours:
        labelling = assign_labels(source)
        _require_room(labelling, folder)
        return _read(source, labelling, into=folder, by=ours, control=plan.control)[0]


def _read(
    source: MemberSource, labelling: Labelling, *, into: Path, by: Hands, control: RunControl
) -> tuple[Found, Taken]:
    members = [picture.member for picture in labelling.pictures]
    taken = take_all(source, members, into=into, by=by, control=control)
    damaged = [
        SkippedFile(file=shown(members[place].name), reason=problem, damaged=True) for place, problem in taken.problems
    ]
    sound = [labelling.pictures[place] for place in taken.places.tolist()]
    columns = columns_found(sound, taken)
    ids = zip((one.member.name for one in sound), columns.listed("image_id"), strict=True)
    found = Found(
        columns=columns,
        skipped=(*labelling.skipped, *damaged),
        task=labelling.task,
        notes=(*labelling.notes, *split_note([one.subset for one in sound])),
        masks=masks_table(labelling.masks, dict(ids)) if labelling.masks else "",
    )
    return found, taken


def _classes(labels: Iterable[tuple[str, ...]]) -> set[str]:
    return set(chain.from_iterable(labels)) - {""}


def _describe(dataset_id: str, *, name: str, found: Found) -> DatasetInfo:
    digests, labels = found.columns.listed("digest"), found.labels
    counts = dict(sorted(Counter(chain.from_iterable(labels)).items()))
    return DatasetInfo(
        dataset_id=dataset_id,
        name=shown(name, limit=120) or "dataset",
        task=found.task,
        total_images=len(found.columns),
        num_classes=len(counts),
        class_counts=counts,
        skipped=_shortened(found.skipped),
        warnings=(*warnings_about(digests, [", ".join(one) for one in labels], counts), *found.notes),
        digest=_digest_of(digests, ["|".join(one) for one in labels]),
    )


def dataset_digest(items: Sequence[ImageItem]) -> str:
    """SHA-256 over the sorted (digest, labels) of all items: names and order of the files do not count."""
    return _digest_of([item.digest for item in items], ["|".join(item.labels) or item.label for item in items])


def _digest_of(digests: Sequence[str], labels: Sequence[str]) -> str:
    lines = sorted(f"{digest} {label}\n" for digest, label in zip(digests, labels, strict=True))
    return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()


def _shortened(skipped: tuple[SkippedFile, ...]) -> tuple[SkippedFile, ...]:
    if len(skipped) <= MAX_LISTED:
        return skipped
    rest = len(skipped) - MAX_LISTED
    return (*skipped[:MAX_LISTED], SkippedFile(file=f"({rest} more files)", reason="skipped too, and not listed here"))


def _require_classes(labels: set[str], task: Task, skipped: Sequence[SkippedFile]) -> None:
    if len(labels) >= (1 if task == "multilabel" else 2):
        return
    reasons = "; ".join(f"'{entry.file}' ({entry.reason.rstrip('.')})" for entry in skipped[:3])
    hint = f" {len(skipped)} files were skipped, such as {reasons}." if skipped else ""
    if len(skipped) == 1:
        hint = f" One file was skipped: {reasons}."
    if not labels:
        raise DatasetError(f"No usable images were found. {LAYOUT}; allowed are {ALLOWED}.{hint}")
    only = shown(clean_name(next(iter(labels))))
    raise DatasetError(f"All images belong to one class, '{only}'; at least 2 classes are needed. {LAYOUT}.{hint}")


def _require_room(labelling: Labelling, into: Path) -> None:
    needed = sum([one.member.size for one in labelling.pictures]) + SPARE_BYTES
    free = free_bytes(into)
    if needed > free:
        raise TooLargeError(
            f"The images need {needed // 2**20} MiB on the server's disk, which has {free // 2**20} MiB free. "
            "Delete datasets that are no longer needed, or send fewer images."
        )
