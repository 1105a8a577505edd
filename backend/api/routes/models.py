"""Models: list, look at, promote, take home."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse

from backend.api.deps import CatalogDep, DatasetOrModelId, ModelId, ServicesDep
from backend.api.problems import problems
from backend.contracts import ModelInfo

router = APIRouter(prefix="/api/cv", tags=["models"])


@router.get("/models", responses=problems())
def list_models(catalog: CatalogDep) -> list[ModelInfo]:
    """All models, newest first."""
    return catalog.models()


@router.get("/models/{model_id}", responses=problems(404))
def get_model(model_id: ModelId, catalog: CatalogDep) -> ModelInfo:
    """One model: what it is, what it was trained on, how well it does."""
    return catalog.model(model_id)


@router.post("/models/{model_id}/promote", responses=problems(404))
def promote_model(model_id: ModelId, catalog: CatalogDep) -> ModelInfo:
    """Make a model its dataset's choice and the default of `POST /predict`."""
    return catalog.promote(model_id)


@router.get(
    "/models/{dataset_or_model_id}/download",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}}, **problems(404)},
)
def download_model(
    dataset_or_model_id: DatasetOrModelId,
    services: ServicesDep,
    file_format: Annotated[str, Query(alias="format", description="pth, or bundle for a ZIP with everything.")] = "pth",
) -> FileResponse:
    """The model as a file; a dataset's id stands for its promoted or newest model."""
    model = services.catalog.resolve_model(dataset_or_model_id)
    export = services.pool.call(services.verbs.export_model, services.settings, model, format=file_format)
    return FileResponse(export.path, filename=export.filename, media_type=export.media_type)
