"""An upload, or a folder on the server, becomes a dataset: safe members, counted classes, a row in the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from backend.config import Settings
from backend.contracts import Job, RunControl
from backend.data.archive import ArchiveLimits, open_archive
from backend.data.folder import Folder
from backend.data.ingest import get_ready
from backend.data.members import MemberSource
from backend.data.names import plain_stem, shown
from backend.data.scan import ImportPlan, Stored, store_members
from backend.errors import InputError, JobCancelled, NotFoundError
from backend.jobs.queue import JobQueue
from backend.storage.catalog import Catalog, TableCatalog
from backend.storage.database import Database
from backend.storage.files import remove_tree
from backend.storage.folders import folders_of
from backend.storage.uploads import UploadStore
from backend.workflows.check_quality import queue_check

JOB_KIND = "import_dataset"


def import_dataset(
    upload: BinaryIO | Path,
    *,
    name: str,
    settings: Settings,
    catalog: Catalog,
    control: RunControl | None = None,
    dataset_id: str | None = None,
) -> Stored:
    """Store an archive, or a folder's path, as a new dataset.

    Raises:
        ArchiveError, TooLargeError: the archive cannot be read, or is not safe to read.
        DatasetError: nothing in it can be learned from.
        JobCancelled: somebody asked to stop; nothing is left behind.
        UnavailableError: the object storage does not answer; nothing is left.
    """
    plan = ImportPlan(settings, control or RunControl(), processes=settings.import_processes, dataset_id=dataset_id)
    limits = ArchiveLimits.from_settings(settings)
    if isinstance(upload, Path) and upload.is_dir():
        return _import(Folder(upload, limits=limits), name=name, plan=plan, catalog=catalog)
    if isinstance(upload, Path) and upload.is_file():
        get_ready(upload.stat().st_size, processes=settings.import_processes)
    with open_archive(upload, limits=limits) as archive:
        return _import(archive, name=name, plan=plan, catalog=catalog)


def _import(source: MemberSource, *, name: str, plan: ImportPlan, catalog: Catalog) -> Stored:
    dataset = store_members(source, into=plan.settings.datasets_dir, name=name, plan=plan)
    try:
        # files first, then the row that makes them visible; a job waits for a storage that is away, a caller does not
        folders_of(plan.settings).publish(dataset.root, control=plan.control if plan.dataset_id else None)
        catalog.add_dataset(dataset.info)
    except BaseException:
        # a folder without a row would be found by nobody
        remove_tree(dataset.root)
        raise
    return dataset


def run_job(job: Job, *, control: RunControl, settings: Settings) -> None:
    """Import what a job names: `path` on the server, or the id of an `upload`. The dataset's id is the job's.

    Raises:
        SightglassError: what a person can mend; the worker writes its detail on the row.
    """
    name, upload_id = str(job.payload["name"]), job.payload.get("upload")
    uploads = UploadStore(settings.uploads_dir, expire_h=settings.upload_expire_h, folders=folders_of(settings))
    database = Database(settings.resolved_database_url)
    try:
        catalog = Catalog(database)
        if is_there(catalog, job.dataset_id, settings):
            return  # an attempt before this one got so far
        if upload_id:
            path = uploads.bytes_here(upload_id, control=control)
        else:
            path = allowed_path(job.payload["path"], settings.import_roots)
        import_dataset(path, name=name, settings=settings, catalog=catalog, control=control, dataset_id=job.dataset_id)
        queue_check(JobQueue(database), dataset_id=str(job.dataset_id), version=1)
    except (InputError, JobCancelled):
        if upload_id:  # the same bytes would fail again
            uploads.take_bytes(upload_id)
        raise
    finally:
        database.close()
    if upload_id:
        uploads.take_bytes(upload_id)


def import_into(path: Path, *, name: str, settings: Settings, control: RunControl) -> Stored:
    """Import a folder or archive of this machine into the service's data folder and catalogue, without the service.

    Raises:
        SightglassError: what a person can mend.
    """
    database = Database(settings.resolved_database_url)
    try:
        dataset = import_dataset(path, name=name, settings=settings, catalog=Catalog(database), control=control)
        queue_check(JobQueue(database), dataset_id=dataset.info.dataset_id, version=1)  # waits for a worker
    finally:
        database.close()
    return dataset


def is_there(catalog: Catalog | TableCatalog, dataset_id: str | None, settings: Settings) -> bool:
    """Whether the dataset or table is complete; a folder without its row, left by a worker that died, is removed."""
    if dataset_id is None:
        return False
    try:
        catalog.dataset(dataset_id)
    except NotFoundError:
        remove_tree(settings.datasets_dir / dataset_id)
        return False
    return True


def allowed_path(text: str, roots: Sequence[Path]) -> Path:
    """Return the real path of what may be imported: links and `..` are followed before it is looked at.

    Raises:
        InputError: no roots are set, or the path lies outside all of them.
        NotFoundError: there is nothing of that name.
    """
    if not roots:
        raise InputError(
            "Folders on the server cannot be imported: no folder is allowed for it. Set SIGHTGLASS_IMPORT_ROOTS "
            "to those that may be, or upload an archive."
        )
    named = ", ".join(f"'{root}'" for root in roots)
    try:
        asked = Path(text)
        # relative paths mean: below a root. The first that has it counts.
        candidates = [asked] if asked.is_absolute() else [root / asked for root in roots]
        found = [path.resolve(strict=True) for path in candidates if path.exists()]
    except (OSError, ValueError, RuntimeError):  # NUL, too long a name, links in a circle, no right to look
        found = []
    inside = [path for path in found if any(_lies_in(path, root) for root in roots)]
    if inside:
        return inside[0]
    if Path(text).is_absolute() and not any(_lies_in(Path(text), root) for root in roots):
        # whether it is there is not said: that would let anybody feel their way through the disk
        raise InputError(f"'{shown(text)}' lies outside the folders that may be imported: {named}.")
    raise NotFoundError(f"There is no '{shown(text)}' in the folders that may be imported: {named}.")


def _lies_in(path: Path, root: Path) -> bool:
    return path.is_relative_to(root.resolve())


def default_name(path: Path) -> str:
    """The dataset's name where none was given: the folder's, or the archive's without its suffixes."""
    return path.resolve().name if path.is_dir() else plain_stem(path.name)
