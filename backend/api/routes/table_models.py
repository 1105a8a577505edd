"""Models of tables: list, look at, ask, take home. A table's id stands for its promoted or newest model."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import ValidationError
from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile

from backend.api.deps import AuditorDep, CallerDep, DatasetOrModelId, ModelId, ServicesDep
from backend.api.problems import problems
from backend.api.services import Services
from backend.api.table_schemas import RowAnswers, RowsBody, TableModelCard, TableModelRef
from backend.api.uploads import MAX_JSON_BYTES, RowsRoute
from backend.contracts import Id, ModelState, Promotion, RegisteredTableModel
from backend.contracts.table import TableModelInfo
from backend.errors import InputError, TooLargeError
from backend.storage.files import TEMPORARY_PREFIX

router = APIRouter(prefix="/api/tabular", tags=["tables"])
predict_router = APIRouter(prefix="/api/tabular", tags=["tables"], route_class=RowsRoute)

MOST_JSON_BYTES = 16 * MAX_JSON_BYTES
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": RowsBody.model_json_schema(),
                "example": {"rows": [{"age": 42, "city": "Ulm"}]},
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                }
            },
        },
    }
}


@router.get("/models", responses=problems())
def list_models(
    services: ServicesDep,
    dataset_id: Annotated[Id | None, Query(description="Only models of this table.")] = None,
    state: Annotated[ModelState | None, Query(description="Only models in this state.")] = None,
) -> list[RegisteredTableModel]:
    """All models of tables with their scores and states, newest first."""
    return services.table_registry.models(dataset_id=dataset_id, state=state)


@router.get("/models/{model_id}", responses=problems(404))
def get_model(model_id: ModelId, services: ServicesDep) -> TableModelCard:
    """One model: what it predicts, from which columns, how well, and where a rollback leads."""
    model = services.table_registry.model(model_id)
    return TableModelCard(**dict(model), rollback_to=services.table_registry.predecessor(model))


@router.get("/models/{model_id}/history", responses=problems(404))
def promotions_of(model_id: ModelId, services: ServicesDep) -> list[Promotion]:
    """Which models have answered for the model's table, newest first."""
    return services.table_registry.history(services.table_registry.model(model_id).dataset_id)


@router.post("/models/{model_id}/promote", responses=problems(404, 409))
def promote_model(model_id: ModelId, services: ServicesDep, caller: CallerDep) -> RegisteredTableModel:
    """Make a model its table's choice. 409 while it is archived."""
    return _changed(services.table_registry.promote(model_id, caller=caller), services)


@router.post("/models/{model_id}/rollback", responses=problems(404, 409))
def roll_back_model(model_id: ModelId, services: ServicesDep, caller: CallerDep) -> RegisteredTableModel:
    """Take back a promotion: the model promoted before answers again. 409 where there was none."""
    return _changed(services.table_registry.rollback(model_id, caller=caller), services)


@router.post("/models/{model_id}/archive", responses=problems(404, 409))
def archive_model(model_id: ModelId, services: ServicesDep, caller: CallerDep) -> RegisteredTableModel:
    """Put a model aside: only its own id stands for it from then on. 409 while it is promoted."""
    return _changed(services.table_registry.archive(model_id, caller=caller), services)


@router.post("/models/{model_id}/restore", responses=problems(404))
def restore_model(model_id: ModelId, services: ServicesDep, caller: CallerDep) -> RegisteredTableModel:
    """Take an archived model back among the candidates."""
    return _changed(services.table_registry.restore(model_id, caller=caller), services)


@router.delete("/models/{model_id}", status_code=204, responses=problems(404, 409))
def delete_model(model_id: ModelId, services: ServicesDep, caller: CallerDep) -> None:
    """Remove a model, its files and its results for good. 409 while it is promoted, or a job uses it."""
    model = services.table_registry.model(model_id)
    services.table_registry.delete(model_id, caller=caller)
    services.folders.remove(services.settings.models_dir / model_id)
    services.mirror(model.dataset_id)


def _changed(model: RegisteredTableModel, services: Services) -> RegisteredTableModel:
    services.mirror(model.dataset_id)
    return model


@predict_router.post(
    "/predict/{dataset_or_model_id}",
    response_model=RowAnswers,
    responses={200: {"content": {"text/csv": {}}}, **problems(400, 404, 413)},
    openapi_extra=BODY,
)
async def predict_table(
    dataset_or_model_id: DatasetOrModelId,
    services: ServicesDep,
    request: Request,
) -> Response:
    """Answer for rows: JSON `{"rows": [{column: value}]}`, or a form with a CSV or Parquet `file`."""
    model = await to_thread.run_sync(services.tables.resolve_model, dataset_or_model_id)
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=4) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise InputError("The form has no file; send the CSV or Parquet file in the field 'file'.")
            path = Path(str(file.file.name))
            return await to_thread.run_sync(_answer_file, services, model, path)
    rows = _rows(await request.body())
    return await to_thread.run_sync(_answer_rows, services, model, rows)


@router.get(
    "/models/{dataset_or_model_id}/download",
    response_class=FileResponse,
    responses={200: {"content": {"application/zip": {}}}, **problems(404)},
)
def download_model(dataset_or_model_id: DatasetOrModelId, services: ServicesDep, auditor: AuditorDep) -> FileResponse:
    """The model as a ZIP: its files (skops, no pickle), a README, and a script that answers without this service."""
    model = services.tables.resolve_model(dataset_or_model_id)
    services.model_folder(model.model_id)
    path = services.pool.call_patiently(services.verbs.tables.export_model, services.settings, model.model_id)
    auditor.note("downloaded", model.model_id, dataset_id=model.dataset_id, detail="zip")
    return FileResponse(path, filename=f"{model.target}-{model.model_id}.zip", media_type="application/zip")


def _rows(body: bytes) -> list[dict[str, Any]]:
    if len(body) > MOST_JSON_BYTES:
        raise TooLargeError(f"The JSON body is larger than {MOST_JSON_BYTES // 2**20} MiB. Send a CSV file instead.")
    try:
        read = json.loads(body or b"null")
        return RowsBody.model_validate({"rows": read} if isinstance(read, list) else read).rows
    except (ValueError, RecursionError) as error:  # pydantic's and json's are both ValueErrors
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InputError(
            f'The body is not what is expected: {why}. Send {{"rows": [{{"age": 42, "city": "Ulm"}}]}}, '
            "or a form with a CSV file."
        ) from error


def _answer_rows(services: Services, model: TableModelInfo, rows: list[dict[str, Any]]) -> Response:
    folder = services.model_folder(model.model_id)
    answers = services.pool.call(services.verbs.tables.predict_rows, folder, rows)
    ref = TableModelRef(
        model_id=model.model_id,
        name=model.name,
        target=model.target,
        task=model.task,
        metric=model.metric,
        score=model.score,
    )
    told = RowAnswers(predictions=answers, model=ref)
    return Response(told.model_dump_json(exclude_none=True), media_type="application/json")


def _answer_file(services: Services, model: TableModelInfo, path: Path) -> Response:
    folder = services.model_folder(model.model_id)
    place = tempfile.mkdtemp(dir=services.settings.uploads_dir, prefix=TEMPORARY_PREFIX)
    target = Path(place) / "answers.csv"
    try:
        services.pool.call(services.verbs.tables.predict_file, services.settings, folder, path, into=target)
    except BaseException:
        _clear(target)
        raise
    return FileResponse(
        target, filename=f"{model.target}-answers.csv", media_type="text/csv", background=BackgroundTask(_clear, target)
    )


def _clear(target: Path) -> None:
    target.unlink(missing_ok=True)
    target.parent.rmdir()
