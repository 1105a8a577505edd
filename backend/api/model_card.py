"""What the API says of one model: its place in the registry, and what its training found out. It computes nothing."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from backend.api.services import Services
from backend.contracts import ModelInfo, RegisteredModel, Results, SplitSizes, TestScores
from backend.errors import NotFoundError

DOWNLOADS = ("pth", "onnx", "bundle", "card")
CHECKPOINT = "checkpoint"  # of a network that was trained as a whole


class BackendView(BaseModel):
    """One way to compute a network on this machine. Differences are of probabilities, from those of float32."""

    name: str
    kind: str = Field(description="Library, its version, its arithmetic.")
    pictures_per_s: float
    agreement: float = Field(description="Share of the pictures with the same likeliest label.")
    mean_apart: float
    p99_apart: float
    most_apart: float


class ServedNetworkView(BaseModel):
    """A network in memory: what computes it, and how that was chosen."""

    network: str
    backend: str
    kind: str
    chosen_by: Literal["default", "measurement", "setting"]
    pictures: int = Field(description="Different pictures that were asked about, on which backends were compared.")
    measured: list[BackendView]


class ServingView(BaseModel):
    """A model as it answers predictions; an ensemble has several networks."""

    backend: str = Field(description="Of the leading network.")
    networks: list[ServedNetworkView]


class ModelCard(RegisteredModel):
    """One model with what its training found out, and where to get it."""

    dataset_name: str | None = Field(None, description="None: the dataset is gone.")
    test: TestScores | None = Field(None, description="Scores on images that it never saw, read once.")
    split: SplitSizes | None = None
    notes: tuple[str, ...] = ()
    trained_by: str | None = Field(None, description="Who started its training; None: before there was an audit log.")
    rollback_to: str | None = Field(None, description="The model that a rollback of this one would bring back.")
    downloads: dict[str, str] = Field(description="Addresses of its files, by format.")
    serving: ServingView | None = Field(None, description="What its predictions run on; None: it is not loaded.")


def model_card(model: RegisteredModel, services: Services) -> ModelCard:
    """Add to a model the name of its dataset, its test scores, its split and the addresses of its files."""
    results = results_of(model, services)
    loaded = services.serving.backend_of(model.model_id)
    stored = model.metrics.get("test")
    address = f"/api/cv/models/{model.model_id}/download?format="
    return ModelCard(
        **dict(model),
        dataset_name=_dataset_name(model.dataset_id, services),
        test=results.test if results else TestScores.model_validate(stored) if stored else None,
        split=results.split if results else None,
        notes=results.notes if results else (),
        trained_by=services.audit.actor_of("trained", model.job_id) if model.job_id else None,
        rollback_to=services.registry.predecessor(model),
        downloads={name: address + name for name in (*DOWNLOADS, *_checkpoint(results))},
        serving=None if loaded is None else ServingView.model_validate(loaded),
    )


def _checkpoint(results: Results | None) -> tuple[str, ...]:
    there = results is not None and results.experiment is not None and results.experiment.checkpoint is not None
    return (CHECKPOINT,) if there else ()


def results_of(model: ModelInfo, services: Services) -> Results | None:
    """The results of the training that made a model; None where they are gone, or are another model's."""
    if model.job_id is None:
        return None
    try:
        results = services.catalog.results_for_job(model.job_id)
    except NotFoundError:
        return None
    return results if results.model_id == model.model_id else None  # else an earlier attempt's model, promoted since


def _dataset_name(dataset_id: str, services: Services) -> str | None:
    try:
        return services.catalog.dataset(dataset_id).name
    except NotFoundError:
        return None
