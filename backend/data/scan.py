"""A ZIP or a folder becomes a dataset: every file is read once, checked, hashed and stored under a name of ours.

It does not know who asked, and keeps one file in memory at a time. Members are untrusted: `images/<image_id><suffix>`
is made from the file's own hash, so that no name from outside ever reaches the disk.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from backend.config import Settings
from backend.contracts import Dataset, DatasetInfo, ImageItem, Progress, RunControl, SkippedFile
from backend.data.archive import ArchiveLimits, open_archive
from backend.data.findings import warnings_for
from backend.data.images import ALLOWED, NEXT_STEP, check_image
from backend.data.labels import Labelled, Labelling, assign_labels
from backend.data.manifest import save_dataset
from backend.data.members import MemberSource
from backend.data.names import clean_name, shown
from backend.errors import ArchiveError, DatasetError, ImageError, TooLargeError
from backend.storage.files import atomic_directory, free_bytes, new_id

logger = logging.getLogger(__name__)

IMAGES_FOLDER = "images"
MAX_LISTED = 1000
SPARE_BYTES = 64 * 2**20
REPORT_EVERY = 50
LAYOUT = "Make one folder for each class, with its images inside, and pack the folders as ZIP"


@dataclass(frozen=True)
class _Import:
    """What every step of one import needs."""

    source: MemberSource
    folder: Path
    settings: Settings
    control: RunControl


def import_archive(
    source: Path | BinaryIO, *, into: Path, name: str, settings: Settings, control: RunControl | None = None
) -> Dataset:
    """Import a ZIP as a new dataset, `into/<dataset_id>`; the folder is there whole or not at all.

    Raises:
        ArchiveError: not a ZIP, or not a safe one.
        DatasetError: no images, a single class, or labels of a kind that this version does not train on.
        TooLargeError: over the limits of the settings, or more than the disk can hold.
        JobCancelled: somebody asked to stop; nothing is left behind.
    """
    with open_archive(source, limits=ArchiveLimits.from_settings(settings)) as archive:
        return import_members(archive, into=into, name=name, settings=settings, control=control)


def import_members(
    source: MemberSource, *, into: Path, name: str, settings: Settings, control: RunControl | None = None
) -> Dataset:
    """Import the files of an opened source; as `import_archive`."""
    labelling = assign_labels(source)
    _require_classes({one.label for one in labelling.pictures}, labelling.skipped)
    _require_room(labelling, into)
    dataset_id = new_id("ds")
    with atomic_directory(into / dataset_id) as folder:
        job = _Import(source=source, folder=folder, settings=settings, control=control or RunControl())
        items, damaged = _store_all(labelling, job)
        skipped = (*labelling.skipped, *damaged)
        _require_classes({item.label for item in items}, skipped)
        info = _describe(dataset_id, name=name, items=items, skipped=skipped, notes=labelling.notes)
        save_dataset(Dataset(info=info, root=folder, items=items), folder)
    logger.info(
        "dataset imported",
        extra={"dataset_id": dataset_id, "images": info.total_images, "classes": info.num_classes},
    )
    return Dataset(info=info, root=into / dataset_id, items=items)


def _store_all(labelling: Labelling, job: _Import) -> tuple[tuple[ImageItem, ...], list[SkippedFile]]:
    items: list[ImageItem] = []
    damaged: list[SkippedFile] = []
    repeats: Counter[str] = Counter()
    (job.folder / IMAGES_FOLDER).mkdir()
    total = len(labelling.pictures)
    for count, picture in enumerate(labelling.pictures):
        job.control.check()
        if count % REPORT_EVERY == 0:
            job.control.report(Progress(stage="importing", message=f"Reading image {count + 1} of {total}"))
        try:
            items.append(_store(picture, job, repeats))
        except (ImageError, TooLargeError, ArchiveError) as error:
            damaged.append(SkippedFile(file=shown(picture.member.name), reason=error.detail.removesuffix(NEXT_STEP)))
    return tuple(items), damaged


def _store(picture: Labelled, job: _Import, repeats: Counter[str]) -> ImageItem:
    data = job.source.read(picture.member)
    if not data:
        raise ImageError("The file is empty (0 bytes).")
    width, height = check_image(data, max_pixels=job.settings.max_image_pixels)
    digest = hashlib.sha256(data).hexdigest()
    short = digest[:16]
    repeats[short] += 1
    image_id = short if repeats[short] == 1 else f"{short}-{repeats[short]}"
    path = f"{IMAGES_FOLDER}/{image_id}{picture.member.suffix}"  # the suffix is one of IMAGE_SUFFIXES
    (job.folder / path).write_bytes(data)
    return ImageItem(image_id=image_id, path=path, label=picture.label, digest=digest, width=width, height=height)


def _describe(
    dataset_id: str,
    *,
    name: str,
    items: tuple[ImageItem, ...],
    skipped: tuple[SkippedFile, ...],
    notes: tuple[str, ...],
) -> DatasetInfo:
    counts = dict(sorted(Counter(item.label for item in items).items()))
    return DatasetInfo(
        dataset_id=dataset_id,
        name=shown(name, limit=120) or "dataset",
        total_images=len(items),
        num_classes=len(counts),
        class_counts=counts,
        skipped=_shortened(skipped),
        warnings=(*warnings_for(items, counts), *notes),
        digest=dataset_digest(items),
    )


def dataset_digest(items: tuple[ImageItem, ...]) -> str:
    """SHA-256 over the sorted (digest, label) of all items: names and order of the files do not count."""
    lines = sorted(f"{item.digest} {item.label}\n" for item in items)
    return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()


def _shortened(skipped: tuple[SkippedFile, ...]) -> tuple[SkippedFile, ...]:
    if len(skipped) <= MAX_LISTED:
        return skipped
    rest = len(skipped) - MAX_LISTED
    return (*skipped[:MAX_LISTED], SkippedFile(file=f"({rest} more files)", reason="skipped too, and not listed here"))


def _require_classes(labels: set[str], skipped: tuple[SkippedFile, ...]) -> None:
    if len(labels) >= 2:
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
