"""Answers that are more than a record: what HTTP adds to datasets, jobs and images. Field names are the contract."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from backend.api.services import Services
from backend.api.shelf import OpenDataset
from backend.contracts import (
    BATCH_KIND,
    Corrections,
    DatasetInfo,
    ImageItem,
    Job,
    OverrideKey,
    Subset,
    TestPrediction,
    VersionChange,
    thumbnail_url,
)
from backend.contracts import Preset as PresetName
from backend.contracts.insights import ImageIssue
from backend.contracts.run import CandidateProgress
from backend.contracts.table import TABLE_KINDS
from backend.data.augmentation_catalogue import AugmentationEntry
from backend.jobs.events import PRIVATE_FIELDS


class HealthView(BaseModel):
    """Whether the API answers, and what the machine is. `device` is "unknown" until the networks are loaded."""

    status: Literal["ok"] = "ok"
    version: str
    device: str
    torch_threads: int
    jobs: dict[str, int]
    default_model: str | None


class ReadyView(BaseModel):
    """Everything that a training needs is there."""

    status: Literal["ready"] = "ready"
    database: Literal["ok"] = "ok"
    storage: Literal["ok"] = "ok"
    worker: Literal["ok"] = "ok"
    free_bytes: int = Field(description="Free space on the disk of the data folder.")


class DatasetView(DatasetInfo):
    """A dataset with a few of its images and its versions."""

    samples: dict[str, list[str]] = Field(description="Addresses of a few thumbnails of each class.")
    versions: list[VersionChange] = Field(description="Oldest first; the last is the newest.")


class ChangedDataset(DatasetView):
    """A dataset's new version, and what made it."""

    change: VersionChange


class ChangeRequest(Corrections):
    """Corrections of a dataset's images."""

    base_version: int | None = Field(
        None, ge=1, le=2**31 - 1, description="The version that you looked at: 409 where it is no longer the newest."
    )
    author: str = Field("", max_length=100, description="Who wants this, for the history.")


class ImageView(BaseModel):
    """One image of a dataset."""

    image_id: str
    file: str = Field("", description="Its name in the upload, with folders; unknown of older datasets.")
    label: str
    labels: tuple[str, ...] = Field((), description="All labels, where the dataset is multi-label.")
    subset: Subset | None = Field(None, description="The part that the upload itself put the image into.")
    width: int
    height: int
    url: str = Field(description="Address of a thumbnail; `size` there may be changed.")


class ImagePage(BaseModel):
    """Part of a dataset's images, in the dataset's order."""

    total: int
    offset: int
    limit: int
    images: list[ImageView]


class ImageQuery(BaseModel):
    """Which images of a dataset."""

    label: str | None = Field(None, alias="class", description="Only images of this class.")
    version: int | None = Field(None, ge=1, le=2**31 - 1, description="A version; without it, the newest.")
    excluded: bool = Field(False, description="The images that this version leaves out, instead.")
    issue: ImageIssue | None = Field(None, description="Only images with this issue, the worst first.")
    offset: int = Field(0, ge=0, le=10**9)
    limit: int = Field(100, ge=1, le=1000)


class AnswerView(BaseModel):
    """One test image and the best model's answer to it."""

    image_id: str
    url: str = Field(description="Address of a thumbnail; `size` there may be changed.")
    label: str = Field(description="The truth, as the dataset says it.")
    predicted: str
    confidence: float = Field(description="The probability that the model gave its answer.")
    labels: tuple[str, ...] | None = Field(None, description="All its labels; only of models of several labels.")
    predicted_labels: tuple[str, ...] | None = None
    confidences: tuple[float, ...] | None = Field(None, description="Of all labels, by the model's class_names.")


class AnswerPage(BaseModel):
    """Part of a job's test images, the most confident answer first."""

    total: int
    offset: int
    limit: int
    images: list[AnswerView]


class JobLinks(BaseModel):
    self: str
    events: str
    results: str
    cancel: str
    download: str | None = Field(None, description="The table of a batch of predictions; `?format=json` for programs.")


class JobView(BaseModel):
    """A job as everyone may see it."""

    job_id: str
    kind: str
    dataset_id: str | None
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    progress: float
    stage: str
    message: str
    candidates: tuple[CandidateProgress, ...]
    attempts: int
    cancel_requested: bool
    error: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    eta_s: float | None
    queue_position: int | None = Field(description="1 is next; null where the job does not wait.")
    recipe: dict[str, Any] = Field(description="What was asked for.")
    request_id: str = Field(description="Of the request that started it; the service's log names it too.")
    links: JobLinks


class Preset(BaseModel):
    """An intent under strategy "auto", with what it stands for."""

    name: PresetName
    title: str
    description: str
    time_budget_s: float = Field(description="Seconds for the whole run, where the recipe names none.")
    refined: int = Field(description="Networks that are trained further after the comparison, best first.")
    epochs: int = Field(description="Passes over the images in each such training; more where images are few.")
    tuning_trials: int = Field(description="Trainings with other settings that may be tried on the best network.")
    mixing: bool = Field(description="Whether such a training also mixes images.")
    ensemble: bool = Field(description="Whether several networks may answer together, where the recipe does not say.")
    recipe: dict[str, Any] = Field(description="What it sets of a recipe, where the request says nothing.")
    models: list[str] | None = Field(description="Networks of its own that it would train here; null: the defaults.")


class OptionsView(BaseModel):
    """What may be chosen for a run, for forms."""

    augmentations: list[AugmentationEntry]
    presets: list[Preset]
    limits: dict[str, int]
    upload_formats: list[str] = Field(description="Suffixes of archives that may be uploaded.")
    import_roots: list[str] = Field(description="Folders on the server whose contents POST /api/cv/import takes.")
    recipe_schema: dict[str, Any] = Field(description="JSON schema of the body of train/start.")
    override_keys: list[OverrideKey] = Field(description="Expert settings that the recipe's `overrides` take.")


class PlainPrediction(BaseModel):
    """The answer of `POST /predict`."""

    pred_class: str
    probs: dict[str, float] = Field(
        description="Every class's probability; they sum to 1 where a picture has one class, each is its own else."
    )
    present: list[str] | None = Field(
        None, description="Labels that reach their thresholds; only of models of several labels."
    )


def dataset_view(opened: OpenDataset, services: Services) -> DatasetView:
    info = opened.dataset.info
    samples = {
        label: [thumbnail_url(info.dataset_id, item.image_id) for item in items]
        for label, items in opened.samples().items()
    }
    return DatasetView(**info.model_dump(), samples=samples, versions=services.versions.history(info.dataset_id))


def image_view(dataset_id: str, item: ImageItem) -> ImageView:
    return ImageView(
        image_id=item.image_id,
        file=item.file,
        label=item.label,
        labels=item.labels,
        subset=item.subset,
        width=item.width,
        height=item.height,
        url=thumbnail_url(dataset_id, item.image_id),
    )


def answer_view(dataset_id: str, answer: TestPrediction) -> AnswerView:
    return AnswerView(**answer.model_dump(), url=thumbnail_url(dataset_id, answer.image_id))


def job_view(job: Job, services: Services) -> JobView:
    """The job with its place in the queue, which costs one small query where it waits."""
    return job_views([job], services)[0]


def job_views(jobs: Sequence[Job], services: Services) -> list[JobView]:
    """Several jobs; their places are asked for together."""
    waiting = [job.job_id for job in jobs if job.state == "queued"]
    places = services.queue.positions(waiting) if waiting else {}
    return [_job_view(job, places.get(job.job_id)) for job in jobs]


def _job_view(job: Job, position: int | None) -> JobView:
    own = f"/api/cv/jobs/{job.job_id}"
    results = f"/api/tabular/jobs/{job.job_id}/results" if job.kind in TABLE_KINDS else f"{own}/results"
    links = JobLinks(
        self=own,
        events=f"{own}/events",
        results=results,
        cancel=f"{own}/cancel",
        download=f"{own}/download" if job.kind == BATCH_KIND else None,
    )
    return JobView(
        **job.model_dump(exclude=set(PRIVATE_FIELDS)),
        recipe=job.payload,
        queue_position=position,
        links=links,
    )
