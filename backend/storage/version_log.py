"""The history of datasets: one row for each version, with what it holds and what made it.

Two processes that change one dataset at once are told apart here: a version is taken over only on top of the newest
one, in one transaction. It does not know the files, which the caller puts in place inside that transaction.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, insert, select, update

from backend.contracts import DatasetInfo, VersionChange
from backend.errors import NotFoundError, VersionConflict
from backend.storage.database import Database
from backend.storage.folders import Reveal
from backend.storage.tables import IMAGES, dataset_versions, datasets


class VersionLog:
    """The versions of all datasets of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def commit(
        self, info: DatasetInfo, change: VersionChange, *, place: Callable[[], None], reveal: Reveal | None = None
    ) -> None:
        """Make `info` the newest version of its dataset; `place` puts its files where readers look for them.

        The row is locked from before the check until after `place`, so that of two at once the second is refused. Where
        `place` raises, nothing has changed. `reveal` shows them to other machines, in the same transaction.

        Raises:
            NotFoundError: the dataset is gone.
            VersionConflict: it is no longer at the version that was changed; names the true one.
        """
        with self._database.writing() as connection:
            current = self._current(connection, info.dataset_id, lock=True)
            if current.version != change.base_version:
                raise VersionConflict(
                    f"Dataset '{info.dataset_id}' is at version {current.version} and no longer at "
                    f"{change.base_version}: somebody changed it meanwhile. Look at version {current.version}, then "
                    f"send the change again with base_version {current.version}.",
                    version=current.version,
                )
            self._keep_first(connection, current)
            connection.execute(insert(dataset_versions).values(**_row(info, change)))
            where = datasets.c.dataset_id == info.dataset_id
            connection.execute(update(datasets).where(where).values(record=info.model_dump_json()))
            place()
            if reveal is not None:
                reveal(connection)

    def history(self, dataset_id: str) -> list[VersionChange]:
        """All versions of a dataset, oldest first.

        Raises:
            NotFoundError: no such dataset.
        """
        query = (
            select(dataset_versions.c.change)
            .where(dataset_versions.c.dataset_id == dataset_id)
            .order_by(dataset_versions.c.version)
        )
        with self._database.reading() as connection:
            current = self._current(connection, dataset_id)
            rows = list(connection.scalars(query))
        return [VersionChange.model_validate_json(row) for row in rows] or [first_entry(current)]

    def describe(self, dataset_id: str, version: int | None = None) -> DatasetInfo:
        """What a version holds; None: the newest.

        Raises:
            NotFoundError: no such dataset, or not this version.
        """
        query = select(dataset_versions.c.record).where(
            dataset_versions.c.dataset_id == dataset_id, dataset_versions.c.version == version
        )
        with self._database.reading() as connection:
            current = self._current(connection, dataset_id)
            if version is None or version == current.version:
                return current
            # far outside of what a database's integer holds there is no version either
            record = connection.scalar(query) if 1 <= version <= current.version else None
        if record is None:
            raise NotFoundError(
                f"Dataset '{dataset_id}' has no version {version}: it is at version {current.version}. "
                f"GET /api/cv/datasets/{dataset_id} lists its versions."
            )
        return DatasetInfo.model_validate_json(record)

    def _current(self, connection: Connection, dataset_id: str, *, lock: bool = False) -> DatasetInfo:
        query = select(datasets.c.record).where(datasets.c.dataset_id == dataset_id, datasets.c.kind == IMAGES)
        record = connection.scalar(query.with_for_update() if lock else query)
        if record is None:
            raise NotFoundError(f"There is no dataset '{dataset_id}'; GET /api/cv/datasets lists those there are.")
        return DatasetInfo.model_validate_json(record)

    def _keep_first(self, connection: Connection, current: DatasetInfo) -> None:
        """Write down a version that has no row of its own yet: only datasets that were changed have rows."""
        table = dataset_versions
        there = select(table.c.version).where(
            table.c.dataset_id == current.dataset_id, table.c.version == current.version
        )
        if connection.scalar(there) is None:
            connection.execute(insert(table).values(**_row(current, first_entry(current))))


def first_entry(info: DatasetInfo) -> VersionChange:
    """The entry of a dataset as it was uploaded."""
    return VersionChange(
        dataset_id=info.dataset_id,
        version=info.version,
        kind="upload",
        created_at=info.created_at,
        total_images=info.total_images,
        num_classes=info.num_classes,
        added=info.total_images,
        new_classes=info.class_names,
    )


def _row(info: DatasetInfo, change: VersionChange) -> dict[str, object]:
    return {
        "dataset_id": info.dataset_id,
        "version": info.version,
        "created_at": change.created_at,
        "record": info.model_dump_json(),
        "change": change.model_dump_json(),
    }
