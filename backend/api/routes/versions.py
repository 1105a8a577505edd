"""Versions of a dataset: correct labels, leave images out, add others, see what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Body, Form, Query, UploadFile
from fastapi.openapi.models import Example

from backend.api.checks import queue_check
from backend.api.deps import AuditorDep, Author, DatasetId, ServicesDep
from backend.api.problems import problems
from backend.api.schemas import ChangedDataset, ChangeRequest, dataset_view
from backend.api.services import Services
from backend.api.uploads import ArchiveRoute, CorrectionsRoute, file_router
from backend.contracts import Corrections, DatasetDiff, VersionChange
from backend.data.names import clean_name
from backend.data.versions import difference

router = APIRouter(prefix="/api/cv", tags=["datasets"], route_class=CorrectionsRoute)
images_router = file_router(ArchiveRoute, prefix="/api/cv", tag="datasets")

MOST_VERSIONS = 2**31 - 1
EXAMPLES: dict[str, Example] = {
    "exclude": {"summary": "Leave an image out", "value": {"exclude": ["0123456789abcdef"], "base_version": 1}},
    "relabel": {"summary": "Give an image its right class", "value": {"relabel": {"0123456789abcdef": "cat"}}},
    "undo": {"summary": "Take an image in again", "value": {"restore": ["0123456789abcdef"]}},
}


@router.post("/datasets/{dataset_id}/changes", status_code=201, responses=problems(400, 404, 409, 413))
def change_dataset(
    dataset_id: DatasetId,
    request: Annotated[ChangeRequest, Body(openapi_examples=EXAMPLES)],
    services: ServicesDep,
    author: Author,
    auditor: AuditorDep,
) -> ChangedDataset:
    """Leave images out, take them in again, relabel them: a new version of the dataset. Old versions stay."""
    corrections = Corrections(exclude=request.exclude, restore=request.restore, relabel=request.relabel)
    desk = services.desk(dataset_id, base_version=request.base_version, author=_named(request.author, author))
    _, change = services.verbs.correct_dataset(desk, corrections)
    auditor.note("changed_labels", dataset_id, dataset_id=dataset_id, detail=f"version {change.version}")
    return _changed(change, services)


@images_router.post("/datasets/{dataset_id}/images", status_code=201, responses=problems(400, 404, 409, 413))
def add_images(
    dataset_id: DatasetId,
    services: ServicesDep,
    author: Author,
    auditor: AuditorDep,
    file: UploadFile,
    base_version: Annotated[int | None, Form(ge=1, le=MOST_VERSIONS)] = None,
) -> ChangedDataset:
    """Add the pictures of a ZIP: a new version of the same dataset. Those that it has already are not added twice."""
    desk = services.desk(dataset_id, base_version=base_version, author=author)
    _, change = services.verbs.add_images(desk, Path(str(file.file.name)), settings=services.settings)
    auditor.note("added_images", dataset_id, dataset_id=dataset_id, detail=f"version {change.version}")
    return _changed(change, services)


@router.get("/datasets/{dataset_id}/diff", responses=problems(404))
def compare_versions(
    dataset_id: DatasetId,
    services: ServicesDep,
    earlier: Annotated[
        int | None, Query(alias="from", ge=1, le=MOST_VERSIONS, description="Without it, the version before.")
    ] = None,
    later: Annotated[
        int | None, Query(alias="to", ge=1, le=MOST_VERSIONS, description="Without it, the newest.")
    ] = None,
) -> DatasetDiff:
    """What a later version has that an earlier one has not: images added, excluded, restored, relabelled."""
    after = services.shelf.get(dataset_id, later).dataset
    before = services.shelf.get(dataset_id, earlier or max(1, after.info.version - 1)).dataset
    return difference(before, after)


def _changed(change: VersionChange, services: Services) -> ChangedDataset:
    queue_check(services, change.dataset_id, change.version)
    view = dataset_view(services.shelf.get(change.dataset_id, change.version), services)
    return ChangedDataset(**dict(view), change=change)


def _named(given: str, key: str) -> str:
    """What the caller calls themselves, and which key they hold."""
    name = clean_name(given)
    return f"{name} ({key})" if name and key else name or key
