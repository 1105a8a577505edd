"""A CSV or Parquet file becomes a table of the service. Reading runs in a process that may hold pandas."""

from __future__ import annotations

from pathlib import Path

from backend.config import Settings
from backend.contracts.table import TableInfo
from backend.storage.catalog import TableCatalog
from backend.storage.files import new_id, remove_tree
from backend.storage.folders import folders_of


def read_table(settings: Settings, path: Path, *, name: str) -> TableInfo:
    """Store a file as a new table's folder; nobody sees it before `list_table`.

    Raises:
        TableError, TooLargeError: it is no table, or too large a one; nothing is left.
    """
    from backend.tabular.table_folder import store_table

    dataset_id = new_id("ds")
    folder = settings.datasets_dir / dataset_id
    return store_table(path, folder, dataset_id=dataset_id, name=name, max_mb=settings.max_table_mb)


def list_table(info: TableInfo, *, settings: Settings, catalog: TableCatalog) -> None:
    """Make a stored table visible: files first, then the row.

    Raises:
        UnavailableError: the object storage does not answer; nothing is left.
    """
    folder = settings.datasets_dir / info.dataset_id
    try:
        folders_of(settings).publish(folder)
        catalog.add_dataset(info)
    except BaseException:
        remove_tree(folder)  # a folder without a row would be found by nobody
        raise


def preview_table(settings: Settings, dataset_id: str, *, count: int) -> list[dict[str, str | None]]:
    """The first rows of a stored table, as text.

    Raises:
        NotFoundError, TableError: its files are gone or damaged.
    """
    from backend.tabular.table_folder import first_rows

    return first_rows(folders_of(settings).fetch(settings.datasets_dir / dataset_id), count=count)
