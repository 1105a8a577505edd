"""The registry of models: list, look at, promote, roll back, archive, delete, compare."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from backend.api.deps import CallerDep, DatasetOrModelId, ModelId, ServicesDep, Thresholds, check_id
from backend.api.model_card import ModelCard, model_card
from backend.api.problems import problems
from backend.api.schemas import JobView, job_view
from backend.api.services import Services
from backend.contracts import DriftReport, Id, ModelComparison, ModelInfo, ModelState, Promotion, RegisteredModel
from backend.contracts.thresholds import ThresholdReport
from backend.errors import InputError, NotFoundError
from backend.storage.answers import read_answers
from backend.workflows.compare_models import champion_of
from backend.workflows.thresholds import report
from backend.workflows.watch_drift import DAYS, drift_report

router = APIRouter(prefix="/api/cv", tags=["models"])


@router.get("/models", responses=problems())
def list_models(
    services: ServicesDep,
    dataset_id: Annotated[Id | None, Query(description="Only models of this dataset.")] = None,
    state: Annotated[ModelState | None, Query(description="Only models in this state.")] = None,
) -> list[RegisteredModel]:
    """All models with their metrics and states, newest first."""
    return services.registry.models(dataset_id=dataset_id, state=state)


@router.get("/models/{model_id}", responses=problems(404))
def get_model(model_id: ModelId, services: ServicesDep) -> ModelCard:
    """One model: what it is, what it was trained on, how well it does."""
    return model_card(services.registry.model(model_id), services)


@router.post("/models/{model_id}/promote", responses=problems(404, 409))
def promote_model(model_id: ModelId, services: ServicesDep, caller: CallerDep) -> RegisteredModel:
    """Make a model its dataset's choice and the default of `POST /predict`. 409 while it is archived.

    It is loaded first, so that no request waits for that, and one that cannot be loaded takes nobody's place.
    """
    if services.registry.model(model_id).state == "candidate":
        services.serving.prepare(model_id)
    return _changed(services.registry.promote(model_id, caller=caller), services)


@router.post("/models/{dataset_or_model_id}/rollback", responses=problems(404, 409))
def roll_back_model(dataset_or_model_id: DatasetOrModelId, services: ServicesDep, caller: CallerDep) -> RegisteredModel:
    """Take back the promotion of a model: the one promoted before it answers again, and is the answer.

    A model's id says which promotion is meant: 409 where somebody has taken it back already. A dataset's id stands for
    whichever model is promoted. 409 where none was promoted before.
    """
    model = services.registry.model(services.catalog.resolve_model(dataset_or_model_id).model_id)
    back = services.registry.predecessor(model)
    if back is not None:
        services.serving.prepare(back)
    return _changed(services.registry.rollback(model.model_id, caller=caller), services)


@router.post("/models/{model_id}/archive", responses=problems(404, 409))
def archive_model(model_id: ModelId, services: ServicesDep, caller: CallerDep) -> RegisteredModel:
    """Put a model aside: only its own id stands for it from then on. 409 while it is promoted."""
    return _changed(services.registry.archive(model_id, caller=caller), services)


@router.post("/models/{model_id}/restore", responses=problems(404))
def restore_model(model_id: ModelId, services: ServicesDep, caller: CallerDep) -> RegisteredModel:
    """Take an archived model back among the candidates."""
    return _changed(services.registry.restore(model_id, caller=caller), services)


@router.delete("/models/{model_id}", status_code=204, responses=problems(404, 409))
def delete_model(model_id: ModelId, services: ServicesDep, caller: CallerDep) -> None:
    """Remove a model, its files and its results for good. 409 while it is promoted, or a job uses it."""
    model = services.registry.model(model_id)
    services.registry.delete(model_id, caller=caller)
    services.folders.remove(services.settings.models_dir / model_id)
    services.mirror(model.dataset_id)


@router.get("/models/{dataset_or_model_id}/history", responses=problems(404))
def promotions_of(dataset_or_model_id: DatasetOrModelId, services: ServicesDep) -> list[Promotion]:
    """Which models have answered for a dataset, newest first; a model's id stands for its dataset."""
    return services.registry.history(services.catalog.resolve_model(dataset_or_model_id).dataset_id)


@router.get("/models/{model_id}/drift", responses=problems(404))
def drift_of(
    model_id: ModelId,
    services: ServicesDep,
    days: Annotated[int, Query(ge=1, le=366, description="How many days back, today included (UTC).")] = DAYS,
) -> DriftReport:
    """What the model answers in use against its test images: labels, confidence, unfamiliar pictures, day by day."""
    services.registry.model(model_id)
    services.tally.write()  # what this process has counted since it wrote last
    return drift_report(model_id, services.model_folder(model_id), services.answered, days=days)


def _changed(model: RegisteredModel, services: Services) -> RegisteredModel:
    services.mirror(model.dataset_id)
    return model


CHAMPION = "The model to beat; without it, the promoted one of the same dataset, else the one before."


@router.get("/models/{model_id}/thresholds", responses=problems(400, 404))
def get_thresholds(model_id: ModelId, services: ServicesDep, choice: Thresholds) -> ThresholdReport:
    """What a model of several labels finds and misses on its test images: by its thresholds, or by other ones.

    The model is not changed: name the same costs or thresholds with `POST /api/cv/predict/{model_id}`.
    """
    model = services.catalog.model(model_id)
    choice.of(model)  # before its files are fetched
    return report(model, services.model_folder(model_id), choice)


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
