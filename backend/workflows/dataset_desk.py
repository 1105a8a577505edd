"""A dataset by its folder or by its id, opened for changes without a service. It does not know the command line.

A dataset of the service is changed through the service's catalogue, so that a running service sees the new version at
once and two who change it at the same time are told apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from backend.config import Settings
from backend.contracts import DatasetInfo, VersionChange
from backend.data.manifest import INFO_FILE, load_dataset, stored_versions
from backend.data.versions import described
from backend.errors import NotFoundError
from backend.storage.database import Database
from backend.storage.folders import folders_of
from backend.storage.version_log import VersionLog, first_entry
from backend.workflows.change_dataset import Desk


@contextmanager
def opened_desk(
    target: str, *, settings: Settings, author: str = "", base_version: int | None = None
) -> Iterator[Desk]:
    """Yield where the dataset of a folder, or of an id in the service's data folder, is changed.

    Raises:
        NotFoundError: there is no such dataset.
    """
    root = find_dataset(target, settings=settings)
    info = DatasetInfo.model_validate_json((root / INFO_FILE).read_bytes())
    desk = Desk(root=root, dataset_id=info.dataset_id, author=author, base_version=base_version)
    if root.parent != settings.datasets_dir.resolve():
        yield desk
        return
    database = Database(settings.resolved_database_url)
    try:
        database.migrate()
        log = VersionLog(database)
        yield replace(desk, log=log, folders=folders_of(settings)) if _listed(log, info.dataset_id) else desk
    finally:
        database.close()


def find_dataset(target: str, *, settings: Settings) -> Path:
    """Return the folder of a dataset: this one, the only one below it (as a training run leaves it), or that of an id.

    Raises:
        NotFoundError: there is none, or more than one to choose from.
    """
    folder = Path(target).expanduser()
    if (folder / INFO_FILE).is_file():
        return folder.resolve()
    if folder.is_dir():
        below = sorted(path.parent for path in folder.glob(f"dataset/*/{INFO_FILE}"))
        if len(below) == 1:
            return below[0].resolve()
    of_id = settings.datasets_dir / folder.name
    if str(folder) == folder.name and (of_id / INFO_FILE).is_file():
        return of_id.resolve()
    raise NotFoundError(
        f"There is no dataset '{target}'. Name its folder (it holds {INFO_FILE}), the folder of a training run, or the "
        f"id of a dataset in '{settings.datasets_dir}'."
    )


def history(desk: Desk) -> list[VersionChange]:
    """All versions, oldest first: from the catalogue, else read off the folder, which does not know who did it."""
    if desk.log is not None:
        return desk.log.history(desk.dataset_id)
    datasets = [load_dataset(desk.root, version=number) for number in stored_versions(desk.root)]
    found = [first_entry(datasets[0].info)]
    for before, after in pairwise(datasets):
        change = described(before, after, kind="corrections", author="")
        found.append(change.model_copy(update={"kind": "images"}) if change.added else change)
    return found


def _listed(log: VersionLog, dataset_id: str) -> bool:
    try:
        log.describe(dataset_id)
    except NotFoundError:
        return False
    return True
