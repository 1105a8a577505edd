"""The part of the stand-in that tells what a dataset holds, and hands out its images a page at a time."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from stand_in_answers import insights_of
from stand_in_api import ServiceDep, dataset_of

router = APIRouter()


@router.get("/api/cv/datasets/{dataset_id}/insights")
def insights(service: ServiceDep, dataset_id: str) -> Any:
    return insights_of(dataset_of(service, dataset_id)) | service.insights


@router.post("/api/cv/datasets/{dataset_id}/check", status_code=202)
def check(service: ServiceDep, dataset_id: str) -> Any:
    dataset_of(service, dataset_id)
    service.insights = {}
    return service.add_job(dataset_id, kind="check_quality")


@router.get("/api/cv/datasets/{dataset_id}/images")
def images(service: ServiceDep, dataset_id: str, request: Request, offset: int = 0, limit: int = 100) -> Any:
    dataset = dataset_of(service, dataset_id)
    if request.query_params.get("excluded") == "true":
        left_out = [
            {"image_id": f"circle-{n}", "label": "circle", "url": ""} for n in range(dataset.get("excluded_images", 0))
        ]
        return {"total": len(left_out), "offset": 0, "limit": limit, "images": left_out}
    label, issue = request.query_params.get("class"), request.query_params.get("issue")
    service.pages_asked.append({"label": label, "issue": issue, "offset": offset, "limit": limit})
    everything = [f"{name}-{n}" for name, count in dataset["class_counts"].items() for n in range(count)]
    if issue is not None:
        listed = (insights_of(dataset) | service.insights)["issues"][issue]
        everything = [image_id for one in listed for image_id in ([one] if isinstance(one, str) else one)]
    found = [one for one in everything if label in (None, one.rpartition("-")[0])]
    page = [
        {
            "image_id": one,
            "file": f"set/{one.rpartition('-')[0]}/{one}.png",
            "label": one.rpartition("-")[0],
            "url": f"/api/cv/datasets/{dataset_id}/images/{one}",
        }
        for one in found[offset : offset + limit]
    ]
    return {"total": len(found), "offset": offset, "limit": limit, "images": page}
