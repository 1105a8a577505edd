"""A model as a file to take home."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse

from backend.api.deps import AuditorDep, DatasetOrModelId, ServicesDep
from backend.api.problems import problems

router = APIRouter(prefix="/api/cv", tags=["models"])


@router.get(
    "/models/{dataset_or_model_id}/download",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}}, **problems(404)},
)
def download_model(
    dataset_or_model_id: DatasetOrModelId,
    services: ServicesDep,
    auditor: AuditorDep,
    file_format: Annotated[str, Query(alias="format", description="pth, or bundle for a ZIP with everything.")] = "pth",
) -> FileResponse:
    """The model as a file; a dataset's id stands for its promoted or newest model."""
    model = services.catalog.resolve_model(dataset_or_model_id)
    services.model_folder(model.model_id)
    export = services.pool.call(services.verbs.export_model, services.settings, model, format=file_format)
    auditor.note("downloaded", model.model_id, dataset_id=model.dataset_id, detail=file_format)
    return FileResponse(export.path, filename=export.filename, media_type=export.media_type)
