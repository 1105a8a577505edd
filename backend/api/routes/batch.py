"""Many pictures at once: a ZIP in, a job; its table out as CSV or JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response, UploadFile
from fastapi.responses import FileResponse

from backend.api.deps import AuditorDep, DatasetOrModelId, JobId, ServicesDep, Thresholds
from backend.api.problems import problems
from backend.api.schemas import JobView, job_view
from backend.api.uploads import ArchiveRoute, file_router

upload_router = file_router(ArchiveRoute, prefix="/api/cv", tag="predictions")
router = APIRouter(prefix="/api/cv", tags=["predictions"])

LONGEST_FILENAME = 255


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about every picture."""

    choice: Thresholds
    top_k: Annotated[int, Query(ge=1, le=1000, description="How many labels a row, the likeliest first.")] = 3


@upload_router.post("/predict/{dataset_or_model_id}/batch", status_code=202, responses=problems(400, 404, 413))
def predict_batch(
    dataset_or_model_id: DatasetOrModelId,
    services: ServicesDep,
    auditor: AuditorDep,
    asked: Annotated[Question, Depends()],
    file: UploadFile,
    response: Response,
) -> JobView:
    """Answer for all pictures of a ZIP or TAR as a job; one that cannot be read is a row that says so.

    Of a model of several labels `predicted` are those present: by its own thresholds, or by those of this request. The
    table is at `links.download` when the job has succeeded. It does not wait behind trainings.
    """
    model = services.catalog.resolve_model(dataset_or_model_id)
    thresholds = asked.choice.of(model) if asked.choice else None
    services.model_folder(model.model_id)
    archive = Path(str(file.file.name))
    count = services.verbs.check_archive(archive, services.settings)
    upload = services.uploads.take_in(archive, filename=(file.filename or "")[:LONGEST_FILENAME])
    payload = {
        "model_id": model.model_id,
        "upload": upload.upload_id,
        "filename": upload.filename,
        "files": count,
        "top_k": asked.top_k,
    } | ({"thresholds": thresholds} if thresholds else {})
    job = services.queue.enqueue(services.verbs.batch_kind, payload, dataset_id=model.dataset_id)
    auditor.note("predicted_batch", job.job_id, dataset_id=model.dataset_id, detail=f"{model.model_id}, {count} files")
    view = job_view(job, services)
    response.headers["Location"] = view.links.self
    return view


@router.get(
    "/jobs/{job_id}/download",
    response_class=FileResponse,
    responses={200: {"content": {"text/csv": {}, "application/json": {}}}, **problems(404)},
)
def download_table(
    job_id: JobId,
    services: ServicesDep,
    file_format: Annotated[str, Query(alias="format", description="csv, or json with all that is known.")] = "csv",
) -> FileResponse:
    """The table of a batch of predictions: `filename`, `predicted`, `confidence`, ..., `unfamiliar`, `error`."""
    job = services.queue.get(job_id)
    path, media_type = services.verbs.result_file(services.settings, job, format=file_format)
    return FileResponse(path, filename=f"predictions-{job_id}{path.suffix}", media_type=media_type)
