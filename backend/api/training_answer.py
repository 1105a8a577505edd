"""The answer to whoever starts a training: the job, or its results where they were waited for. Of images and tables."""

from __future__ import annotations

from collections.abc import Callable

from anyio import to_thread
from fastapi import Response

from backend.api.schemas import job_view
from backend.api.services import Services
from backend.contracts import FINAL_STATES, Job, Record
from backend.errors import ConflictError


async def answer_when_ended(
    job: Job, services: Services, *, within_s: float, results: Callable[[str], Record]
) -> Response:
    """Wait so many seconds for a job's end; then its results, or 202 with the job as it stands.

    Raises:
        ConflictError: it failed, or somebody cancelled it.
    """
    if within_s:
        job = await services.live.ended(job, within_s=within_s)
    if job.state == "succeeded":
        found = await to_thread.run_sync(results, job.job_id)
        return Response(found.model_dump_json(), media_type="application/json")
    if job.state in FINAL_STATES:
        raise ConflictError(f"Job '{job.job_id}' {_how_it_ended(job)}")
    return await to_thread.run_sync(job_answer, job, services)


def job_answer(job: Job, services: Services) -> Response:
    """202: the job as it stands, and where to ask for it."""
    view = job_view(job, services)
    return Response(
        view.model_dump_json(), status_code=202, media_type="application/json", headers={"Location": view.links.self}
    )


def _how_it_ended(job: Job) -> str:
    if job.state == "failed":
        return f"failed: {job.error}"
    return "was cancelled before it had results; start a new one with the same request."
