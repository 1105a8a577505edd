"""What a dataset looks like and what may be wrong with it: stored answers, and the check that makes them."""

from __future__ import annotations

from fastapi import APIRouter, Response

from backend.api.checks import queue_check
from backend.api.deps import DatasetId, ServicesDep, Version
from backend.api.problems import problems
from backend.api.schemas import JobView, job_view
from backend.contracts import Insights
from backend.data.insights import stored_insights
from backend.data.manifest import require_stored, stored_versions
from backend.errors import NotFoundError

router = APIRouter(prefix="/api/cv", tags=["datasets"])


@router.get("/datasets/{dataset_id}/insights", response_model=Insights, responses=problems(404))
def get_insights(dataset_id: DatasetId, services: ServicesDep, version: Version = None) -> Response:
    """Counts, sizes, formats, samples and issues of a dataset: written at import, sent as it lies there."""
    info = services.catalog.dataset(dataset_id)
    folder = require_stored(services.settings.datasets_dir, dataset_id, folders=services.folders, images=False)
    asked = info.version if version is None else version
    if version is not None and version not in stored_versions(folder):
        raise NotFoundError(
            f"Dataset '{dataset_id}' has no version {version}; it has {', '.join(map(str, stored_versions(folder)))}."
        )
    return Response(stored_insights(folder, version=asked), media_type="application/json")


@router.post("/datasets/{dataset_id}/check", status_code=202, responses=problems(404))
def start_check(dataset_id: DatasetId, services: ServicesDep) -> JobView:
    """Look for issues in the newest version again; the check runs by itself after each upload and change."""
    info = services.catalog.dataset(dataset_id)
    require_stored(services.settings.datasets_dir, dataset_id, folders=services.folders, images=False)
    return job_view(queue_check(services, dataset_id, info.version), services)
