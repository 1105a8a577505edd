"""A model as a file to take home, and what there is of such files."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse

from backend.api.deps import AuditorDep, DatasetOrModelId, ServicesDep
from backend.api.model_card import results_of
from backend.api.problems import problems
from backend.contracts import ModelExport

router = APIRouter(prefix="/api/cv", tags=["models"])

FORMAT = (
    "pth: the weights for torch; onnx: for ONNX Runtime, compared with the model; bundle: a ZIP with everything; card: "
    "an HTML page for people."
)


@router.get(
    "/models/{dataset_or_model_id}/download",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}, "text/html": {}}}, **problems(404, 409)},
)
def download_model(
    dataset_or_model_id: DatasetOrModelId,
    services: ServicesDep,
    auditor: AuditorDep,
    file_format: Annotated[str, Query(alias="format", description=FORMAT)] = "pth",
) -> FileResponse:
    """The model as a file; a dataset's id stands for its promoted or newest model. Made at the first request."""
    model = services.catalog.resolve_model(dataset_or_model_id)
    services.model_folder(model.model_id)
    export = services.pool.call_patiently(
        services.verbs.export_model,
        services.settings,
        model,
        format=file_format,
        results=results_of(model, services),
    )
    auditor.note("downloaded", model.model_id, dataset_id=model.dataset_id, detail=file_format)
    return FileResponse(export.path, filename=export.filename, media_type=export.media_type)


@router.get("/models/{dataset_or_model_id}/exports", responses=problems(404))
def list_exports(dataset_or_model_id: DatasetOrModelId, services: ServicesDep) -> list[ModelExport]:
    """Every format of a model, whether its file lies there already, and how well the ONNX file agrees with it."""
    model = services.catalog.resolve_model(dataset_or_model_id)
    services.model_folder(model.model_id)
    return services.verbs.list_exports(services.settings, model)
