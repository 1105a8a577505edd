"""Models: list, look at, promote, compare."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from backend.api.deps import CatalogDep, ModelId, ServicesDep, check_id
from backend.api.problems import problems
from backend.api.schemas import JobView, job_view
from backend.api.services import Services
from backend.contracts import ModelComparison, ModelInfo
from backend.errors import InputError, NotFoundError
from backend.storage.answers import read_answers
from backend.workflows.compare_models import champion_of

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


CHAMPION = "The model to beat; without it, the promoted one of the same dataset, else the one before."


@router.get("/models/{model_id}/compare", responses=problems(404))
def get_comparison(
    model_id: ModelId,
    services: ServicesDep,
    champion: Annotated[str | None, Query(alias="with", description=CHAMPION)] = None,
) -> ModelComparison:
    """A challenger against a champion, on test images that neither learned from. Stored when the one was trained."""
    pair = _rivals(model_id, champion, services)
    return services.comparisons.get(*(model.model_id for model in pair))


@router.post("/models/{model_id}/compare", status_code=202, responses=problems(404))
def start_comparison(
    model_id: ModelId,
    services: ServicesDep,
    champion: Annotated[str | None, Query(alias="with", description=CHAMPION)] = None,
) -> JobView:
    """Compare two models as a job; `GET` at the same address has the answer then."""
    pair = _rivals(model_id, champion, services)
    for model in pair:
        read_answers(services.model_folder(model.model_id))
    payload = {"challenger": pair[0].model_id, "champion": pair[1].model_id}
    job = services.queue.enqueue(services.verbs.compare_kind, payload, dataset_id=pair[0].dataset_id)
    return job_view(job, services)


def _rivals(model_id: str, champion: str | None, services: Services) -> tuple[ModelInfo, ModelInfo]:
    challenger = services.catalog.model(model_id)
    other = champion_of(challenger, services.catalog)
    if champion is not None:
        other = services.catalog.model(check_id(champion, noun="model", where="GET /api/cv/models"))
    if other is None:
        raise NotFoundError(
            f"'{model_id}' is the only model of its dataset; name another with '?with='. GET /api/cv/models lists them."
        )
    if other.model_id == model_id:
        raise InputError(f"'{model_id}' cannot be compared with itself; name another model with '?with='.")
    return challenger, other
