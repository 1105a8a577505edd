"""The stand-in's batches of predictions."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, UploadFile
from fastapi.responses import JSONResponse, Response
from stand_in_api import Problem, ServiceDep

router = APIRouter()
TABLE = "filename,predicted,confidence,unfamiliar,error\n" + "".join(
    f"day 1/{n}.png,circle,0.9,false,\n" for n in range(30)
)


@router.post("/api/cv/predict/{model_id}/batch", status_code=202)
async def start(
    service: ServiceDep,
    model_id: str,
    file: Annotated[UploadFile, File()],
    top_k: int = 3,
    miss_cost: float | None = None,
) -> Any:
    if not (await file.read()).startswith(b"PK"):
        raise Problem(422, "The file is not a ZIP archive.")
    asked = {"model_id": model_id, "top_k": top_k, "filename": file.filename}
    service.predictions_asked.append(asked | ({} if miss_cost is None else {"miss_cost": miss_cost}))
    return service.add_job(next(iter(service.datasets)), kind="predict_batch", candidates=[])


@router.get("/api/cv/jobs/{job_id}/download")
def download(service: ServiceDep, job_id: str, format: str = "csv") -> Response:  # noqa: A002
    if job_id not in service.jobs:
        raise Problem(404, f"There is no job '{job_id}'.")
    return JSONResponse({"images": []}) if format == "json" else Response(TABLE, media_type="text/csv")
