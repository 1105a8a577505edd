"""Datasets: upload, list, look at, delete."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated

from fastapi import APIRouter, Form, Query, Response, UploadFile

from backend.api.checks import queue_check
from backend.api.deps import AuditorDep, CatalogDep, DatasetId, ImageId, ServicesDep, Version
from backend.api.problems import problems
from backend.api.schemas import DatasetView, ImagePage, ImageQuery, dataset_view, image_view
from backend.api.shelf import OpenDataset, thumbnail
from backend.api.uploads import ArchiveRoute, file_router
from backend.contracts import DatasetInfo, ImageItem
from backend.contracts.insights import THUMBNAIL_SIZE, ImageIssue
from backend.data.insights import labels_of, load_insights
from backend.data.names import clean_name, plain_stem
from backend.errors import InputError
from backend.registry import nearest

router = APIRouter(prefix="/api/cv", tags=["datasets"])
upload_router = file_router(ArchiveRoute, prefix="/api/cv", tag="datasets")

LONGEST_NAME = 100
# Images never change under their id, so a browser need not ask twice.
IMMUTABLE = "private, max-age=31536000, immutable"


@upload_router.post("/upload", status_code=201, responses=problems(400, 413))
def upload(
    services: ServicesDep,
    auditor: AuditorDep,
    file: UploadFile,
    name: Annotated[str | None, Form(max_length=LONGEST_NAME, description="Without it, the file's own name.")] = None,
) -> DatasetView:
    """Make a dataset of a ZIP, TAR or TAR.GZ: a folder for each class, or a table of labels beside the images.

    Tables: `labels.csv` or `metadata.csv` (filename,label; several labels in a cell separated by `|`, or a 0/1 column
    for each class), or Severstal's `train.csv`. For archives that take long to send, see POST /api/cv/uploads.
    """
    dataset = services.verbs.import_dataset(
        Path(str(file.file.name)),
        name=dataset_name(name, file.filename),
        settings=services.settings,
        catalog=services.catalog,
    )
    dataset_id = dataset.info.dataset_id
    auditor.note("uploaded", dataset_id, dataset_id=dataset_id, detail=dataset.info.name)
    queue_check(services, dataset_id, dataset.info.version)
    return dataset_view(services.shelf.get(dataset_id), services)


@router.get("/datasets", responses=problems())
def list_datasets(catalog: CatalogDep) -> list[DatasetInfo]:
    """All datasets, newest first."""
    return catalog.datasets()


@router.get("/datasets/{dataset_id}", responses=problems(404))
def get_dataset(dataset_id: DatasetId, services: ServicesDep, version: Version = None) -> DatasetView:
    """One dataset, with thumbnails of each class and its versions."""
    return dataset_view(services.shelf.get(dataset_id, version), services)


@router.get("/datasets/{dataset_id}/images", responses=problems(404))
def list_images(dataset_id: DatasetId, services: ServicesDep, query: Annotated[ImageQuery, Query()]) -> ImagePage:
    """The dataset's images, a part at a time."""
    opened = services.shelf.get(dataset_id, query.version)
    dataset = opened.dataset.with_items(opened.dataset.excluded) if query.excluded else opened.dataset
    label, offset, limit = query.label, query.offset, query.limit
    if label is not None and label not in dataset.info.class_counts:
        names = list(dataset.class_names)
        raise InputError(
            f"The dataset has no class '{clean_name(label)}'.{nearest(label, names)} It has: {', '.join(names)}."
        )
    found: Sequence[ImageItem]
    if query.issue is None and not query.excluded:
        found = dataset.items if label is None else opened.by_label.get(label, [])
    else:
        items = dataset.items if query.issue is None else _with_issue(opened, query.issue)
        found = [item for item in items if label is None or label in labels_of(item)]
    page = [image_view(dataset_id, item) for item in found[offset : offset + limit]]
    return ImagePage(total=len(found), offset=offset, limit=limit, images=page)


@router.get(
    "/datasets/{dataset_id}/images/{image_id}",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, **problems(404)},
)
def get_image(
    dataset_id: DatasetId,
    image_id: ImageId,
    services: ServicesDep,
    version: Version = None,
    size: Annotated[int, Query(ge=16, le=2048, description="Longest side, in pixels.")] = THUMBNAIL_SIZE,
) -> Response:
    """A thumbnail, as JPEG."""
    opened = services.shelf.get(dataset_id, version)
    content = thumbnail(
        services.shelf.picture(opened, image_id), size=size, max_pixels=services.settings.max_image_pixels
    )
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": IMMUTABLE})


@router.delete("/datasets/{dataset_id}", status_code=204, responses=problems(404, 409))
def delete_dataset(dataset_id: DatasetId, services: ServicesDep, auditor: AuditorDep) -> None:
    """Remove a dataset and its images; models trained on it stay. 409 while a job uses it."""
    services.catalog.delete_dataset(dataset_id)
    auditor.note("deleted_dataset", dataset_id, dataset_id=dataset_id)
    services.folders.remove(services.settings.datasets_dir / dataset_id)


def _with_issue(opened: OpenDataset, issue: ImageIssue) -> list[ImageItem]:
    """The images that the stored insights name, in their order; those of one group beside each other."""
    dataset = opened.dataset
    listed = getattr(load_insights(dataset.root, version=dataset.info.version).issues, issue)
    ids = [image_id for entry in listed for image_id in ((entry,) if isinstance(entry, str) else entry)]
    return [opened.by_id[image_id] for image_id in dict.fromkeys(ids) if image_id in opened.by_id]


def dataset_name(given: str | None, filename: str | None) -> str:
    """The name that was given, else the file's without folders and suffix, else `dataset`."""
    base = plain_stem(PurePosixPath(PureWindowsPath(clean_name(filename or "")).name).name)
    return (clean_name(given or "") or base)[:LONGEST_NAME] or "dataset"
