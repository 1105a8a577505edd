"""Where the rooms are joined: the API, the workers, and both together. The only file that knows all of them.

Nothing here imports torch: the API's process answers within a second of its start and stays small. What needs torch
is named here and runs in other processes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
from fastapi import Depends, FastAPI

from backend import __version__
from backend.api import OPEN_ROUTERS, ROUTERS
from backend.api.documentation import router as documentation
from backend.api.door import add_door
from backend.api.error_handlers import add_error_handlers
from backend.api.security import BEARER_SCHEME, HEADER_SCHEME
from backend.api.services import Pool, Services, TableVerbs, Verbs, build_services
from backend.config import Settings
from backend.errors import InputError, SightglassError
from backend.execution.child import stay_with_parent
from backend.execution.errands import Errands
from backend.execution.inference_pool import InferencePool
from backend.execution.local import LocalExecutor
from backend.execution.logs import configure_logging
from backend.execution.memory import free_memory_mb
from backend.execution.pools import check_executor
from backend.execution.protocol import Handler
from backend.execution.supervisor import KeptProcess
from backend.jobs.crew import Crew
from backend.jobs.lanes import make_lanes
from backend.jobs.presence import Presence
from backend.jobs.queue import JobQueue
from backend.jobs.worker import Post, Worker
from backend.storage.database import Database
from backend.storage.files import check_writable, remove_leftovers
from backend.storage.folders import folders_of
from backend.storage.uploads import UploadStore
from backend.workflows import (
    batch_results,
    candidates,
    change_dataset,
    check_quality,
    compare_models,
    explain,
    export_model,
    import_dataset,
    import_table,
    leftovers,
    mirror_models,
    predict,
    predict_batch,
    predict_table,
    train_images,
    train_table,
)

logger = logging.getLogger(__name__)

VERBS = Verbs(
    train_kind=train_images.JOB_KIND,
    import_kind=import_dataset.JOB_KIND,
    compare_kind=compare_models.JOB_KIND,
    batch_kind=predict_batch.JOB_KIND,
    import_dataset=import_dataset.import_dataset,
    correct_dataset=change_dataset.correct_dataset,
    add_images=change_dataset.add_images,
    allowed_path=import_dataset.allowed_path,
    queue_check=check_quality.queue_check,
    check_recipe=train_images.check_recipe,
    list_candidates=candidates.list_candidates,
    list_exports=export_model.list_exports,
    check_archive=predict_batch.check_archive,
    result_file=batch_results.result_file,
    names_of_timm=candidates.names_of_timm,
    check_timm_networks=candidates.check_timm_networks,
    open_answerer=predict.open_answerer,
    explain_image=explain.explain_image,
    export_model=export_model.export_model,
    warm_up=explain.warm_up,
    tables=TableVerbs(
        train_kind=train_table.JOB_KIND,
        import_kind=import_table.JOB_KIND,
        list_table=import_table.list_table,
        read_table=import_table.read_table,
        preview_table=import_table.preview_table,
        list_models=train_table.list_table_models,
        check_recipe=train_table.check_table_recipe,
        predict_rows=predict_table.predict_rows,
        predict_file=predict_table.predict_file,
        export_model=predict_table.export_table_model,
    ),
)
HANDLERS: Mapping[str, Handler] = {
    train_images.JOB_KIND: train_images.run_job,
    import_dataset.JOB_KIND: import_dataset.run_job,
    check_quality.JOB_KIND: check_quality.run_job,
    compare_models.JOB_KIND: compare_models.run_job,
    predict_batch.JOB_KIND: predict_batch.run_job,
    train_table.JOB_KIND: train_table.run_job,
    import_table.JOB_KIND: import_table.run_job,
}
# Kinds that take seconds or minutes and load no network: they do not wait behind trainings (docs/decisions/0007).
LIGHT_KINDS = frozenset({"check_quality", "import_dataset", import_table.JOB_KIND})
# Kinds that answer pictures: somebody waits for them, and a training may take hours (docs/decisions/0019).
ANSWERING_KINDS = frozenset({predict_batch.JOB_KIND})

DESCRIPTION = (
    "A ZIP of pictures in, several networks compared, a model that you own out. "
    "Every error is an RFC 9457 problem whose `detail` says what to do."
)
# A watcher of a job's events would otherwise keep a stopping server waiting for the job's end.
SHUTDOWN_S = 3


def create_app(settings: Settings | None = None, *, verbs: Verbs = VERBS, pool: Pool | None = None) -> FastAPI:
    """Build the API. Files and the database are touched when it starts, not here."""
    settings = settings or Settings()
    errands = Errands(mirror_models.mirror_models, settings)
    services = build_services(
        settings,
        verbs,
        pool=pool or InferencePool(settings, open_answerer=verbs.open_answerer, warm_up=verbs.warm_up),
        make_queue=make_queue,
        mirror=_tell_nobody if settings.resolved_mlflow_uri is None else errands.send,
    )
    app = FastAPI(
        title="Sightglass",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    app.state.errands = errands
    add_door(app, settings)
    add_error_handlers(app)
    app.include_router(documentation)
    for router in OPEN_ROUTERS:
        app.include_router(router)
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(BEARER_SCHEME), Depends(HEADER_SCHEME)])
    return app


def create_crew(
    settings: Settings | None = None,
    *,
    handlers: Mapping[str, Handler] = HANDLERS,
    warm_up: Callable[[], None] = train_images.warm_up,
) -> Crew:
    """Build this machine's workers: one for each training that may run at once, and one for light jobs.

    The cores are divided between the trainings; more of them than cores are left to other machines.
    """
    settings = settings or Settings()
    database = Database(settings.resolved_database_url)
    queue, presence = make_queue(database, settings), Presence(database)
    slots = min(settings.concurrent_jobs, settings.torch_threads)
    own = settings.model_copy(update={"torch_threads": max(1, settings.torch_threads // slots)})
    workers = []
    for lane in queue.lanes:
        heavy = lane.kinds is None
        if not heavy and not any(lane.holds(kind) for kind in handlers):
            continue  # nothing of this kind can be done here
        for _ in range(slots if heavy else 1):
            executor = LocalExecutor(own, warm_up=warm_up if heavy else _no_warm_up, ahead=heavy)
            post = Post(lane=lane, obstacle=partial(_short_of_memory, settings))
            workers.append(Worker(queue, executor, handlers=handlers, presence=presence, post=post))
    return Crew(workers)


def make_queue(database: Database, settings: Settings) -> JobQueue:
    """The queue with its lanes and limits, the same in every process of an installation."""
    lanes = make_lanes(LIGHT_KINDS, concurrent_jobs=settings.concurrent_jobs, answering_kinds=ANSWERING_KINDS)
    return JobQueue(database, max_attempts=settings.job_attempts, lanes=lanes)


def _no_warm_up() -> None:
    """A light job loads nothing that is worth loading ahead."""


def _short_of_memory(settings: Settings) -> str | None:
    """Why no job should start now; None where one may."""
    free, floor = free_memory_mb(), settings.min_free_memory_mb
    if free is None or free >= floor:
        return None
    # No figure that changes from second to second: each new text would be an event.
    return (
        f"Waiting for memory: less than {floor} MiB are free on the worker's machine. "
        "It starts when there is more; SIGHTGLASS_MIN_FREE_MEMORY_MB sets the limit."
    )


def run_worker(
    settings: Settings,
    *,
    handlers: Mapping[str, Handler] = HANDLERS,
    warm_up: Callable[[], None] = train_images.warm_up,
) -> None:
    """The main function of the workers' process: works until told to stop or its parent is gone."""
    configure_logging(settings.log_level, log_format=settings.log_format)
    prepare(settings)
    crew = create_crew(settings, handlers=handlers, warm_up=warm_up)
    signal.signal(signal.SIGTERM, lambda *_: crew.stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    stay_with_parent(crew.stop)
    crew.run()


def serve(settings: Settings, *, reload: bool = False, worker: Callable[[Settings], None] | None = run_worker) -> None:
    """Run the API, and a worker beside it that is started again when it dies; blocks until Ctrl-C or TERM.

    `worker` is the main function of the worker's process; None: only the API, workers run elsewhere.

    Raises:
        InputError: the address is open to others and no API key is set, or the executor cannot work here.
    """
    check_exposure(settings)
    if worker is not None:
        check_executor(settings)
    configure_logging(settings.log_level, log_format=settings.log_format)
    prepare(settings)
    # The server passes a TERM on when it has ended; as an exception it lets the worker be stopped as well.
    signal.signal(signal.SIGTERM, _raise_exit)
    if worker is None:
        _run_server(settings, reload=reload)
        return
    with KeptProcess(worker, settings, name="sightglass-worker"):
        _run_server(settings, reload=reload)


def prepare(settings: Settings) -> None:
    """Make the folders, bring the database up to date, clear what interrupted writes left.

    Raises:
        UnavailableError: the data folder cannot be written to, or the database does not answer.
    """
    check_writable(settings.data_dir)
    for folder in (
        settings.datasets_dir,
        settings.models_dir,
        settings.jobs_dir,
        settings.cache_dir,
        settings.uploads_dir,
        settings.predictions_dir,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
    UploadStore(settings.uploads_dir, expire_h=settings.upload_expire_h).remove_expired()
    database = Database(settings.resolved_database_url)
    database.migrate()
    database.close()
    leftovers.remove_old_journals(settings)
    folders_of(settings).clear_removed()


def check_exposure(settings: Settings) -> None:
    """Refuse to be reachable by others without a key.

    Raises:
        InputError: the host is not this machine alone, and SIGHTGLASS_API_KEYS is empty.
    """
    if settings.api_keys or _is_loopback(settings.host):
        return
    raise InputError(
        f"'{settings.host}' can be reached from other machines, and no API key is set. Set SIGHTGLASS_API_KEYS "
        "(for example SIGHTGLASS_API_KEYS=$(openssl rand -hex 24)), or use 127.0.0.1."
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    await anyio.to_thread.run_sync(prepare, services.settings)
    learning = asyncio.create_task(_learn_environment(services))
    if services.settings.storage_url is not None:
        threading.Thread(target=_greet_storage, args=(services,), name="greet-storage", daemon=True).start()
    services.tally.start()
    try:
        yield
    finally:
        learning.cancel()
        services.pool.close()
        await anyio.to_thread.run_sync(app.state.errands.close)
        services.serving.names.close()
        await anyio.to_thread.run_sync(services.tally.close)
        services.folders.close()
        services.database.close()


def _tell_nobody(_: str) -> None:
    """Tracking is off: no process is started to find that out."""


async def _learn_environment(services: Services) -> None:
    """Start the predicting process, keep what it says about the machine, and let the one beside it warm up."""
    try:
        services.environment.update(await services.pool.hello())
    except SightglassError as error:
        logger.warning("predicting process did not warm up", extra={"detail": error.detail})
        return
    # A thread, not a task: nobody waits for it, at the start or at the end.
    threading.Thread(target=_warm_up_beside, args=(services,), name="warm-up-beside", daemon=True).start()


def _warm_up_beside(services: Services) -> None:
    try:
        services.pool.call(services.verbs.warm_up)
    except SightglassError as error:
        logger.warning("process for heat maps did not warm up", extra={"detail": error.detail})


def _greet_storage(services: Services) -> None:
    """Say early where the object storage cannot be used, and give it what was here before it."""
    settings, catalog = services.settings, services.catalog
    try:
        services.folders.check()
        for dataset in catalog.datasets():
            services.folders.adopt(settings.datasets_dir / dataset.dataset_id)
        for model in catalog.models():
            services.folders.adopt(settings.models_dir / model.model_id)
    except SightglassError as error:  # /ready says so too, and nothing is lost by waiting for it
        logger.error("object storage cannot be used", extra={"detail": error.detail})  # noqa: TRY400 - the detail says all


def _run_server(settings: Settings, *, reload: bool) -> None:
    import uvicorn

    app = "backend.main:create_app" if reload else create_app(settings)
    uvicorn.run(
        app,
        factory=reload,
        reload=reload,
        reload_dirs=[str(Path(__file__).parent)] if reload else None,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        # Whom a request comes from decides whose budget it takes: nobody but a proxy that was named may say so.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


def _raise_exit(*_: object) -> None:
    raise SystemExit(0)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
