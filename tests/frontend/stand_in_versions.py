"""The stand-in's routes for versions of a dataset and for models: they count, and keep what was sent."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Request, UploadFile
from fastapi.responses import Response
from stand_in_answers import now
from stand_in_api import Problem, ServiceDep, dataset_of

router = APIRouter()


def entry(dataset: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """One entry of a dataset's history."""
    counts = {"added": 0, "excluded": 0, "restored": 0, "relabelled": 0}
    return {
        "dataset_id": dataset["dataset_id"],
        "version": dataset["version"],
        "base_version": dataset["version"] - 1 or None,
        "kind": "corrections",
        "author": "",
        "created_at": now(),
        "total_images": dataset["total_images"],
        "num_classes": dataset["num_classes"],
        "excluded_images": dataset.get("excluded_images", 0),
        "new_classes": [],
        "dropped_classes": [],
        **counts,
        **fields,
    }


def made(dataset: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Move a dataset on by one version."""
    first = entry(dataset, kind="upload", added=dataset["total_images"], base_version=None)
    history = dataset.setdefault("versions", [first])
    dataset["version"] += 1
    history.append(entry(dataset, **fields))
    return dataset


@router.post("/api/cv/datasets/{dataset_id}/changes", status_code=201)
def change(service: ServiceDep, dataset_id: str, body: dict[str, Any]) -> Any:
    dataset = dataset_of(service, dataset_id)
    if body.get("base_version") not in (None, dataset["version"]):
        raise Problem(409, f"Dataset '{dataset_id}' is at version {dataset['version']}.")
    service.changes.append(body)
    exclude, restore = body.get("exclude", []), body.get("restore", [])
    dataset["total_images"] += len(restore) - len(exclude)
    dataset["excluded_images"] = dataset.get("excluded_images", 0) + len(exclude) - len(restore)
    relabelled = len(body.get("relabel", {}))
    return made(dataset, excluded=len(exclude), restored=len(restore), relabelled=relabelled)


@router.post("/api/cv/datasets/{dataset_id}/images", status_code=201)
def add(service: ServiceDep, dataset_id: str, file: Annotated[UploadFile, File()]) -> Any:
    dataset = dataset_of(service, dataset_id)
    service.changes.append({"added": file.filename})
    dataset["total_images"] += 5
    return made(dataset, kind="images", added=5, new_classes=["star"])


@router.get("/api/cv/datasets/{dataset_id}/diff")
def diff(service: ServiceDep, dataset_id: str, request: Request) -> Any:
    earlier, later = int(request.query_params["from"]), int(request.query_params["to"])
    sent = [body for body in service.changes if "added" not in body][earlier - 1 : later - 1]
    excluded = [image for body in sent for image in body.get("exclude", [])]
    restored = [image for body in sent for image in body.get("restore", [])]
    relabel = {image: label for body in sent for image, label in body.get("relabel", {}).items()}
    groups = {
        "added": [],
        "excluded": [{"image_id": image, "labels": ["circle"], "before": None} for image in excluded],
        "restored": [{"image_id": image, "labels": ["circle"], "before": None} for image in restored],
        "relabelled": [
            {"image_id": image, "labels": [label], "before": [image.rsplit("-", 1)[0]]}
            for image, label in relabel.items()
        ],
    }
    counts = {name: len(found) for name, found in groups.items()}
    return {"from_version": earlier, "to_version": later, "counts": counts, "class_counts": {}, **groups}


@router.get("/api/cv/models/{model_id}/compare")
def comparison(service: ServiceDep, model_id: str) -> Any:
    if model_id not in service.comparisons:
        raise Problem(404, f"'{model_id}' has not been compared yet.")
    return service.comparisons[model_id]


@router.post("/api/cv/models/{model_id}/compare", status_code=202)
def compare(service: ServiceDep, model_id: str) -> Any:
    service.comparisons_asked.append(model_id)
    return service.add_job(next(iter(service.datasets)), kind="compare_models")


@router.get("/api/cv/models/{model_id}/exports")
def exports(model_id: str) -> Any:
    report = {"images": 64, "agreement": 1.0, "max_difference": 0.0004}
    return [{"format": "pth", "report": None}, {"format": "onnx", "report": report}]


@router.get("/api/cv/models/{model_id}/download")
def download(service: ServiceDep, model_id: str, format: str = "pth") -> Response:  # noqa: A002
    return Response(f"{model_id} as {format}".encode(), media_type="application/octet-stream")
