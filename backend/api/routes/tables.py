"""Tables: upload, list, look at, delete; start a training on one and read its results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Body, Form, Query, Response, UploadFile
from fastapi.openapi.models import Example

from backend.api.deps import Auditor, AuditorDep, DatasetId, JobId, ServicesDep
from backend.api.problems import problems
from backend.api.routes.datasets import LONGEST_NAME, dataset_name
from backend.api.schemas import JobView
from backend.api.services import Services
from backend.api.table_schemas import TableModelKind, TableView
from backend.api.training_answer import answer_when_ended, job_answer
from backend.api.uploads import LimitedRoute, TableRoute, file_router
from backend.contracts import Job
from backend.contracts.table import TableInfo, TableRecipe, TableResults
from backend.errors import TableError
from backend.storage.files import new_id

router = APIRouter(prefix="/api/tabular", tags=["tables"], route_class=LimitedRoute)
upload_router = file_router(TableRoute, prefix="/api/tabular", tag="tables")

PREVIEW_ROWS = 20
# Reading so much takes a few seconds; more is read by a job, and a request need not wait for that to its end.
LARGE_BYTES = 24 * 2**20
LARGE_WAIT_S = 60.0
LONGEST_WAIT_S = 3600
EXAMPLES: dict[str, Example] = {
    "defaults": {"summary": "A minute, all models", "value": {"dataset_id": "ds-0123456789", "target": "price"}},
}


@upload_router.post(
    "/upload",
    status_code=201,
    response_model=TableView,
    responses={
        202: {"model": JobView, "description": "A large file that is still being read: the job that does."},
        **problems(400, 413),
    },
)
async def upload_table(
    services: ServicesDep,
    auditor: AuditorDep,
    file: UploadFile,
    name: Annotated[str | None, Form(max_length=LONGEST_NAME, description="Without it, the file's own name.")] = None,
    wait: Annotated[
        float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for a large file, which a job reads.")
    ] = LARGE_WAIT_S,
) -> Response:
    """Make a table of a CSV or Parquet file. Separator, encoding and decimal mark of a CSV are found out.

    A file above 24 MiB is read by a job. Where it is not over in time the answer is 202 with the job, whose
    `dataset_id` is the table's.
    """
    path, called = Path(str(file.file.name)), dataset_name(name, file.filename)
    if (file.size or 0) <= LARGE_BYTES:
        view = await to_thread.run_sync(_read_now, path, called, services, auditor)
    else:
        job = await to_thread.run_sync(_read_by_job, path, called, services, auditor)
        job = await services.live.ended(job, within_s=wait)
        if job.state == "failed":
            raise TableError(str(job.error))
        if job.state != "succeeded":
            return await to_thread.run_sync(job_answer, job, services)
        view = await to_thread.run_sync(get_table, str(job.dataset_id), services)
    return Response(view.model_dump_json(), status_code=201, media_type="application/json")


@router.get("/datasets", responses=problems())
def list_tables(services: ServicesDep) -> list[TableInfo]:
    """All tables, newest first."""
    return services.tables.datasets()


@router.get("/datasets/{dataset_id}", responses=problems(404))
def get_table(dataset_id: DatasetId, services: ServicesDep) -> TableView:
    """One table: what each column is, and its first rows."""
    return _view(services.tables.dataset(dataset_id), services)


@router.delete("/datasets/{dataset_id}", status_code=204, responses=problems(404, 409))
def delete_table(dataset_id: DatasetId, services: ServicesDep, auditor: AuditorDep) -> None:
    """Remove a table; models trained on it stay. 409 while a job uses it."""
    services.tables.delete_dataset(dataset_id)
    services.folders.remove(services.settings.datasets_dir / dataset_id)
    auditor.note("deleted_dataset", dataset_id, dataset_id=dataset_id, detail="table")


@router.get("/candidates", responses=problems())
def list_kinds(services: ServicesDep) -> list[TableModelKind]:
    """The models that can be compared."""
    found = services.pool.call(services.verbs.tables.list_models)
    return [TableModelKind.model_validate(kind) for kind in found]


@router.post(
    "/train/start",
    status_code=202,
    response_model=JobView,
    responses={
        200: {"model": TableResults, "description": "With `wait`: the job ended in time; its results."},
        **problems(400, 404, 409, 413),
    },
)
async def start_training(
    recipe: Annotated[TableRecipe, Body(openapi_examples=EXAMPLES)],
    services: ServicesDep,
    auditor: AuditorDep,
    wait: Annotated[
        float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the results; 0: not at all.")
    ] = 0,
) -> Response:
    """Compare models on a table; what can be known about the recipe now is checked now."""
    job = await to_thread.run_sync(_enqueue, recipe, services)
    await to_thread.run_sync(lambda: auditor.note("trained", job.job_id, dataset_id=job.dataset_id))
    return await answer_when_ended(job, services, within_s=wait, results=services.tables.results_for_job)


@router.get("/results/{dataset_id}", responses=problems(404))
def results_of_table(dataset_id: DatasetId, services: ServicesDep) -> TableResults:
    """The results of the table's newest finished job."""
    return services.tables.results_for_dataset(dataset_id)


@router.get("/jobs/{job_id}/results", responses=problems(404))
def results_of_job(job_id: JobId, services: ServicesDep) -> TableResults:
    """The results of one job. How far a job is: GET /api/cv/jobs/{job_id}, which lists all jobs."""
    return services.tables.results_for_job(job_id)


def _read_now(path: Path, name: str, services: Services, auditor: Auditor) -> TableView:
    # patiently: a process that is still loading its libraries on a busy machine is no reason to lose an upload
    info = services.pool.call_patiently(services.verbs.tables.read_table, services.settings, path, name=name)
    services.verbs.tables.list_table(info, settings=services.settings, catalog=services.tables)
    auditor.note("uploaded", info.dataset_id, dataset_id=info.dataset_id, detail=name)
    return _view(info, services)


def _read_by_job(path: Path, name: str, services: Services, auditor: Auditor) -> Job:
    upload = services.uploads.take_in(path, filename=name)
    payload = {"upload": upload.upload_id, "name": name}
    job = services.queue.enqueue(services.verbs.tables.import_kind, payload, dataset_id=new_id("ds"))
    auditor.note("uploaded", str(job.dataset_id), dataset_id=job.dataset_id, detail=name)
    return job


def _view(info: TableInfo, services: Services) -> TableView:
    preview = services.pool.call(
        services.verbs.tables.preview_table, services.settings, info.dataset_id, count=PREVIEW_ROWS
    )
    return TableView(**dict(info), preview=preview)


def _enqueue(recipe: TableRecipe, services: Services) -> Job:
    info = services.tables.dataset(recipe.dataset_id)
    services.pool.call(services.verbs.tables.check_recipe, recipe, info)
    payload = recipe.model_dump(mode="json")
    return services.queue.enqueue(services.verbs.tables.train_kind, payload, dataset_id=recipe.dataset_id)
