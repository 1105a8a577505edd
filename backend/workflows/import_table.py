"""A CSV or Parquet file becomes a table of the service. Reading runs in a process that may hold pandas.

Large files are read by a job: understanding 100 MiB takes 20 s on two busy cores, and no request may hang for minutes.
"""

from __future__ import annotations

from pathlib import Path

from backend.config import Settings
from backend.contracts import Job, Progress, RunControl
from backend.contracts.table import TableInfo
from backend.errors import InputError, JobCancelled
from backend.storage.catalog import TableCatalog
from backend.storage.database import Database
from backend.storage.files import new_id, remove_tree
from backend.storage.folders import folders_of
from backend.storage.uploads import UploadStore
from backend.workflows.import_dataset import is_there
from backend.workflows.mishaps import in_plain_words

JOB_KIND = "import_table"


def read_table(settings: Settings, path: Path, *, name: str, dataset_id: str | None = None) -> TableInfo:
    """Store a file as a new table's folder; nobody sees it before `list_table`.

    Raises:
        TableError, TooLargeError: it is no table, or too large a one; nothing is left.
    """
    from backend.tabular.table_folder import store_table

    dataset_id = dataset_id or new_id("ds")
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


def run_job(job: Job, *, control: RunControl, settings: Settings) -> None:
    """Read the upload that a job names. The table's id is the job's.

    Raises:
        SightglassError: what a person can mend; the worker writes its detail on the row.
    """
    dataset_id, upload_id = str(job.dataset_id), str(job.payload["upload"])
    uploads = UploadStore(settings.uploads_dir, expire_h=settings.upload_expire_h, folders=folders_of(settings))
    database = Database(settings.resolved_database_url)
    try:
        catalog = TableCatalog(database)
        if is_there(catalog, dataset_id, settings):
            return  # an attempt before this one got so far
        control.report(Progress(stage="reading", message="Finding out what the columns are", progress=0.1))
        path = uploads.bytes_here(upload_id, control=control)
        with in_plain_words(settings.data_dir):
            info = read_table(settings, path, name=str(job.payload["name"]), dataset_id=dataset_id)
        list_table(info, settings=settings, catalog=catalog)
    except (InputError, JobCancelled):
        uploads.take_bytes(upload_id)  # the same bytes would fail again
        raise
    finally:
        database.close()
    uploads.take_bytes(upload_id)


def preview_table(settings: Settings, dataset_id: str, *, count: int) -> list[dict[str, str | None]]:
    """The first rows of a stored table, as text.

    Raises:
        NotFoundError, TableError: its files are gone or damaged.
    """
    from backend.tabular.table_folder import first_rows

    return first_rows(folders_of(settings).fetch(settings.datasets_dir / dataset_id), count=count)
