"""Changing a dataset: the newest version and what is wanted in, the next version out. Old ones stay as they are.

A version is visible at once or not at all: its folder is written beside its place and renamed while the catalogue's row
is locked. Of two changes at once the later one is made anew on top of the earlier, or refused where its author named
the version that it was meant for. A dataset's folder without a service has no catalogue; there the rename decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from backend.config import Settings
from backend.contracts import Corrections, Dataset, RunControl, VersionChange
from backend.contracts.version import ChangeKind
from backend.data.additions import fitting, with_images
from backend.data.archive import ArchiveLimits, open_archive
from backend.data.corrections import corrected
from backend.data.found import Found
from backend.data.insights import write_insights
from backend.data.manifest import (
    VERSIONS_FOLDER,
    load_dataset,
    require_stored,
    save_dataset,
    stored_versions,
    version_folder,
)
from backend.data.masks import MASKS_FILE
from backend.data.pictures import IMAGES_FOLDER, where
from backend.data.scan import ImportPlan, read_members
from backend.data.versions import described
from backend.errors import ConflictError, NotFoundError, VersionConflict
from backend.storage.files import (
    atomic_write,
    put_in_place,
    remove_leftovers,
    remove_tree,
    staged_directory,
)
from backend.storage.flush import flush_tree
from backend.storage.folders import LOCAL, Folders
from backend.storage.version_log import VersionLog

logger = logging.getLogger(__name__)

ATTEMPTS = 10  # of a change that names no version, each on top of what came meanwhile


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Who changes which dataset. `log` is None for a folder without a service.

    `base_version` is the version that the author looked at: where it is no longer the newest, the change is refused.
    `read` gives a version that is at hand already, and `keep` takes the one that was made: reading 50,000 items takes
    0.4 s, more than all the rest of a change. Without them a version comes from the folder.
    """

    root: Path
    dataset_id: str
    log: VersionLog | None = None
    author: str = ""
    base_version: int | None = None
    folders: Folders = LOCAL
    read: Callable[[int], Dataset] | None = None
    keep: Callable[[Dataset], object] | None = None

    def newest(self) -> Dataset:
        """The dataset as it stands.

        Raises:
            NotFoundError: there is none.
            VersionConflict: it is no longer at the version that the author looked at.
        """
        if self.log is None:
            dataset = load_dataset(self.root)
        else:
            number = self.log.describe(self.dataset_id).version
            dataset = self.read(number) if self.read else load_dataset(self._stored(), version=number)
        number = dataset.info.version
        if self.base_version not in (None, number):
            raise VersionConflict(
                f"Dataset '{self.dataset_id}' is at version {number}, and the change was meant for version "
                f"{self.base_version}. Look at version {number}, then send it again with base_version {number}.",
                version=number,
            )
        return dataset

    def _stored(self) -> Path:
        return require_stored(self.root.parent, self.dataset_id, folders=self.folders, images=False)


def correct_dataset(desk: Desk, corrections: Corrections) -> tuple[Dataset, VersionChange]:
    """Leave images out, take them in again, give them other labels: all of it or nothing.

    Raises:
        NotFoundError: no such dataset or image.
        InputError, DatasetError: as `corrected`.
        VersionConflict: somebody else changed the dataset.
    """
    desk.newest()  # what is not there, or was changed meanwhile, is told before anything is written
    with staged_directory(desk.root / VERSIONS_FOLDER) as staged:
        return _change(desk, lambda dataset: corrected(dataset, corrections), kind="corrections", staged=staged)


def add_images(
    desk: Desk, upload: Path | BinaryIO, *, settings: Settings, control: RunControl | None = None
) -> tuple[Dataset, VersionChange]:
    """Add the pictures of a ZIP that the dataset has not got yet.

    Raises:
        NotFoundError: no such dataset.
        ArchiveError, TooLargeError, DatasetError: the ZIP cannot be used, or holds nothing new.
        VersionConflict: as `correct_dataset`.
    """
    there = desk.newest()  # as above, and before a large archive is read
    known = frozenset(item.digest for item in (*there.items, *there.excluded))
    with staged_directory(desk.root / VERSIONS_FOLDER) as staged:
        with open_archive(upload, limits=ArchiveLimits.from_settings(settings)) as archive:
            plan = ImportPlan(settings, control or RunControl(), processes=settings.import_processes, known=known)
            found = read_members(archive, folder=staged, plan=plan)
        if found.masks:
            atomic_write(staged / MASKS_FILE, found.masks)
        return _change(desk, lambda dataset: _joined(dataset, found, staged), kind="images", staged=staged)


def _joined(dataset: Dataset, found: Found, staged: Path) -> Dataset:
    """The dataset with what is new; packs that hold nothing of it are taken away again."""
    folder = f"{VERSIONS_FOLDER}/{dataset.info.version + 1}/{IMAGES_FOLDER}"
    items = fitting(found.items, found.task, dataset)
    made = with_images(dataset, items, skipped=found.skipped, folder=folder)
    kept = {Path(where(item.path).file).name for item in made.items if item.added_in == made.info.version}
    for path in (staged / IMAGES_FOLDER).iterdir():
        if path.name not in kept:
            path.unlink()
    return made


def _change(
    desk: Desk, make: Callable[[Dataset], Dataset], *, kind: ChangeKind, staged: Path
) -> tuple[Dataset, VersionChange]:
    for attempt in range(1, ATTEMPTS + 1):
        before = desk.newest()
        after = make(before)
        change = described(before, after, kind=kind, author=desk.author)
        save_dataset(after, staged)
        write_insights(after, staged)
        flush_tree(staged)
        try:
            _commit(desk, after, change, staged=staged)
        except VersionConflict:
            if desk.base_version is not None or attempt == ATTEMPTS:
                raise
            continue
        if desk.keep is not None:
            desk.keep(after)
        remove_leftovers(desk.root / VERSIONS_FOLDER)
        logger.info("dataset changed", extra={"dataset_id": desk.dataset_id, "version": change.version, "kind": kind})
        return after, change
    raise AssertionError("unreachable: the last attempt returns or raises")


def _commit(desk: Desk, after: Dataset, change: VersionChange, *, staged: Path) -> None:
    target = version_folder(desk.root, change.version)

    def place() -> None:
        if not desk.root.is_dir():
            raise NotFoundError(f"The files of dataset '{desk.dataset_id}' are gone; it was deleted meanwhile.")
        remove_tree(target)  # left by a process that died here: the locked row says that the version was never made
        put_in_place(staged, target)

    if desk.log is not None:
        # uploaded before the row is locked: that may take minutes, and every writer would wait
        at = target.relative_to(desk.root).as_posix()
        reveal = desk.folders.stage(staged, desk.root, at=at)
        desk.log.commit(after.info, change, place=place, reveal=reveal)
        return
    try:
        put_in_place(staged, target)
    except ConflictError as error:
        newest = max(stored_versions(desk.root))
        raise VersionConflict(
            f"Dataset '{desk.dataset_id}' was changed by another process meanwhile; it is at version {newest}.",
            version=newest,
        ) from error
