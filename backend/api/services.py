"""What the routes work with, put together once by `main`: the seam between HTTP and the rooms below.

The verbs that need torch run through `pool`, in another process; this one never imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from backend.api.live import Live
from backend.api.serving import ModelNames, PredictionPool, Serving
from backend.api.shelf import DatasetShelf
from backend.api.tally import PredictionTally
from backend.api.vitals import Seen, Vitals
from backend.config import Settings
from backend.contracts import Candidate, Dataset, Explanation, Job, ModelExport, ModelInfo, Recipe, VersionChange
from backend.contracts.serving import BatchNote, ServingState
from backend.contracts.table import RowAnswer, TableInfo
from backend.data.scan import Stored
from backend.jobs.events import EventLog
from backend.jobs.presence import Presence
from backend.jobs.queue import JobQueue
from backend.storage.audit_log import AuditLog
from backend.storage.catalog import Catalog, TableCatalog
from backend.storage.change_mark import ChangeMark
from backend.storage.comparisons import Comparisons
from backend.storage.database import Database
from backend.storage.folders import Folders, folders_of
from backend.storage.model_registry import ModelRegistry, TableModelRegistry
from backend.storage.prediction_counts import PredictionLog
from backend.storage.uploads import UploadStore
from backend.storage.version_log import VersionLog
from backend.workflows.change_dataset import Desk

P = ParamSpec("P")
R = TypeVar("R")


class Pool(PredictionPool, Protocol):
    """Answers predictions, and runs top-level functions in a process that may hold torch."""

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...

    def call_patiently(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...

    def process_ids(self) -> Sequence[int]: ...

    async def hello(self) -> Mapping[str, Any]: ...

    def watch(self, *, batch: Callable[[BatchNote], None], state: Callable[[ServingState], None]) -> None: ...

    def close(self) -> None: ...


class FileToSend(Protocol):
    """A file on the disk, and under which name and type it is sent."""

    @property
    def path(self) -> Any: ...

    @property
    def filename(self) -> str: ...

    @property
    def media_type(self) -> str: ...


@dataclass(frozen=True)
class TableVerbs:
    """The workflows of tables. All but `list_table` run in the pool, for they load pandas or scikit-learn."""

    train_kind: str
    import_kind: str
    list_table: Callable[..., None]
    # -- in the pool
    read_table: Callable[..., TableInfo]
    preview_table: Callable[..., list[dict[str, str | None]]]
    list_models: Callable[[], list[dict[str, object]]]
    check_recipe: Callable[..., None]
    predict_rows: Callable[..., list[RowAnswer]]
    predict_file: Callable[..., int]
    export_model: Callable[[Settings, str], Path]


@dataclass(frozen=True)
class Verbs:
    """The workflows that routes call. Signatures: `backend.workflows`. Below the line: through the pool only."""

    train_kind: str
    import_kind: str
    compare_kind: str
    batch_kind: str
    import_dataset: Callable[..., Stored]
    correct_dataset: Callable[..., tuple[Dataset, VersionChange]]
    add_images: Callable[..., tuple[Dataset, VersionChange]]
    allowed_path: Callable[[str, Sequence[Path]], Path]
    queue_check: Callable[..., Job]
    check_recipe: Callable[..., object]
    list_candidates: Callable[[Settings], Sequence[Candidate]]
    list_exports: Callable[[Settings, ModelInfo], list[ModelExport]]
    check_archive: Callable[[Path, Settings], int]
    result_file: Callable[..., tuple[Path, str]]
    names_of_timm: Callable[[Recipe], list[str]]
    # -- in the pool
    check_timm_networks: Callable[[Recipe], None]
    open_answerer: Callable[..., Any]
    explain_image: Callable[..., Explanation]
    export_model: Callable[..., FileToSend]
    warm_up: Callable[[], Any]
    tables: TableVerbs


@dataclass(frozen=True)
class Services:
    """Everything that a request may need."""

    settings: Settings
    verbs: Verbs
    pool: Pool
    database: Database
    catalog: Catalog
    tables: TableCatalog
    versions: VersionLog
    comparisons: Comparisons
    queue: JobQueue
    events: EventLog
    live: Live
    presence: Presence
    shelf: DatasetShelf
    vitals: Vitals
    folders: Folders
    registry: ModelRegistry
    table_registry: TableModelRegistry
    audit: AuditLog
    answered: PredictionLog
    tally: PredictionTally
    serving: Serving
    # Told of a dataset whose models have changed their states; returns at once.
    mirror: Callable[[str], None]
    # What the inference process found out about the machine; empty until it has warmed up.
    environment: dict[str, Any] = field(default_factory=dict)

    def model_folder(self, model_id: str) -> Path:
        """Where a model lies on this machine; one that another machine trained is fetched first.

        Raises:
            UnavailableError: the object storage, which has it, does not answer.
        """
        return self.folders.fetch(self.settings.models_dir / model_id)

    def desk(self, dataset_id: str, *, base_version: int | None = None, author: str = "") -> Desk:
        """Where a change of a dataset is made."""
        return Desk(
            root=self.settings.datasets_dir / dataset_id,
            dataset_id=dataset_id,
            log=self.versions,
            author=author,
            base_version=base_version,
            folders=self.folders,
            read=lambda version: self.shelf.get(dataset_id, version).dataset,
            keep=self.shelf.keep,
        )

    @property
    def uploads(self) -> UploadStore:
        """Uploads that arrive in pieces."""
        return UploadStore(self.settings.uploads_dir, expire_h=self.settings.upload_expire_h, folders=self.folders)


def build_services(
    settings: Settings,
    verbs: Verbs,
    *,
    pool: Pool,
    make_queue: Callable[[Database, Settings], JobQueue],
    mirror: Callable[[str], None] = lambda _: None,
) -> Services:
    """Put the parts together; opens no connection yet."""
    database = Database(settings.resolved_database_url)
    catalog = Catalog(database)
    queue, events = make_queue(database, settings), EventLog(database)
    versions, folders = VersionLog(database), folders_of(settings)
    answered = PredictionLog(database)
    tally = PredictionTally(answered)
    names = ModelNames(catalog, ChangeMark(database), models_dir=settings.models_dir, folders=folders)
    serving = Serving(pool, names, tally)
    pool.watch(batch=serving.note_batch, state=serving.note_state)
    return Services(
        settings=settings,
        verbs=verbs,
        pool=pool,
        database=database,
        catalog=catalog,
        tables=TableCatalog(database),
        versions=versions,
        comparisons=Comparisons(database),
        queue=queue,
        events=events,
        live=Live(queue, events),
        presence=Presence(database),
        shelf=DatasetShelf(settings.datasets_dir, versions, folders=folders),
        vitals=Vitals(lambda: _look(queue, catalog)),
        folders=folders,
        registry=ModelRegistry(database),
        table_registry=TableModelRegistry(database),
        audit=AuditLog(database),
        answered=answered,
        tally=tally,
        serving=serving,
        mirror=mirror,
    )


def _look(queue: JobQueue, catalog: Catalog) -> Seen:
    default = catalog.default_model()
    return Seen(jobs=queue.counts(), default_model=None if default is None else default.model_id)
