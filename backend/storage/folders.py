"""Where the folders of datasets and models are kept: in the data folder alone, or in an object storage too.

The seam: a workflow calls `folders_of(settings)`, then `fetch` before it reads a folder, `publish` after it wrote one,
`remove` when one is deleted. Without SIGHTGLASS_STORAGE_URL these do nothing: the data folder is all there is. With it
the data folder is a working copy (`objects.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from backend.config import Settings
from backend.contracts import RunControl
from backend.storage.files import remove_tree

Reveal = Callable[[Any], None]


class Folders(Protocol):
    """Where folders of the data folder are kept beside it."""

    def fetch(self, folder: Path, *, bulk: bool = True, control: RunControl | None = None) -> Path:
        """Make sure that what is stored of a folder lies on this machine; returns the folder.

        Without `bulk` the images are left out: they come one by one with `fetch_file`. With `control` a storage that
        does not answer is waited for. A folder that nobody stored is left as it is.

        Raises:
            UnavailableError: the storage does not answer, or what it holds is damaged.
            JobCancelled: somebody asked to stop.
        """

    def fetch_file(self, folder: Path, path: str) -> Path:
        """Make sure that one file of a folder lies on this machine; returns its place, where it may still be missing.

        Raises:
            UnavailableError: as `fetch`.
        """

    def publish(self, folder: Path, *, control: RunControl | None = None) -> None:
        """Store what is new in a folder and make it visible to all machines, all of it at once.

        Raises:
            UnavailableError: the storage does not answer; nothing has become visible.
            JobCancelled: somebody asked to stop.
        """

    def adopt(self, folder: Path) -> None:
        """Publish a folder that was there before the storage was; one that is stored already is left alone.

        Raises:
            UnavailableError: as `publish`.
        """

    def stage(self, source: Path, folder: Path, *, at: str) -> Reveal:
        """Store the files of `source`, which will lie in `folder` below `at`, but make nothing visible yet.

        The answer does that: call it with the connection of the transaction that makes the new files' row visible.

        Raises:
            UnavailableError: the storage does not answer.
        """

    def remove(self, folder: Path) -> None:
        """Remove a folder here, in the storage, and from the other machines when they start next."""

    def clear_removed(self) -> None:
        """Finish what other machines removed, and what the storage could not be told then."""

    def check(self) -> None:
        """Ask the storage for a sign of life.

        Raises:
            UnavailableError: it gives none, or cannot be written to.
        """

    def close(self) -> None:
        """Let go of connections; the next use opens new ones."""


class LocalFolders:
    """The data folder is all there is."""

    def fetch(self, folder: Path, *, bulk: bool = True, control: RunControl | None = None) -> Path:
        del bulk, control
        return folder

    def fetch_file(self, folder: Path, path: str) -> Path:
        return folder / path

    def publish(self, folder: Path, *, control: RunControl | None = None) -> None:
        pass

    def adopt(self, folder: Path) -> None:
        pass

    def stage(self, source: Path, folder: Path, *, at: str) -> Reveal:
        del source, folder, at
        return lambda _connection: None

    def remove(self, folder: Path) -> None:
        remove_tree(folder)

    def clear_removed(self) -> None:
        pass

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass


LOCAL = LocalFolders()


def folders_of(settings: Settings) -> Folders:
    """Where this deployment keeps its folders; opens nothing before the first use."""
    if settings.storage_url is None:
        return LOCAL
    return _stored(settings.storage_url, settings.resolved_database_url, settings.data_dir)


@lru_cache(maxsize=4)  # one process has one deployment; tests have a few
def _stored(storage_url: str, database_url: str, data_dir: Path) -> Folders:
    from backend.storage.bucket import Bucket
    from backend.storage.commits import CommitLog
    from backend.storage.database import Database
    from backend.storage.objects import StoredFolders

    return StoredFolders(data_dir, Bucket(storage_url), CommitLog(Database(database_url)))
