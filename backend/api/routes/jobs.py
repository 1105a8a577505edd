"""Jobs: list, look at, watch, cancel."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from backend.api.deps import AuditorDep, JobId, ServicesDep
from backend.api.problems import problems
from backend.api.schemas import JobView, job_view, job_views
from backend.contracts import FINAL_STATES, Id, JobState

router = APIRouter(prefix="/api/cv", tags=["jobs"])

EVENT_STREAM = "text/event-stream"


@router.get("/jobs", responses=problems())
def list_jobs(
    services: ServicesDep,
    state: JobState | None = None,
    dataset_id: Id | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> list[JobView]:
    """Jobs, newest first."""
    found = services.queue.list(state=state, dataset_id=dataset_id, limit=limit, offset=offset)
    return job_views(found, services)


@router.get("/jobs/{job_id}", responses=problems(404))
def get_job(job_id: JobId, services: ServicesDep) -> JobView:
    """One job: how far it is, what each network does."""
    return job_view(services.queue.get(job_id), services)


@router.post("/jobs/{job_id}/cancel", status_code=202, responses=problems(404, 409))
def cancel_job(job_id: JobId, services: ServicesDep, auditor: AuditorDep) -> JobView:
    """Ask a job to end: within 5 s it is cancelled. What its finished networks reached stays on it."""
    job = services.queue.request_cancel(job_id)
    auditor.note("cancelled", job_id, dataset_id=job.dataset_id, detail=job.kind)
    return job_view(job, services)


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {EVENT_STREAM: {}},
            "description": "Events `state`, `progress` and, without an id, `position` in the queue; `data` is the job.",
        },
        204: {"description": "The job has ended and there is nothing after Last-Event-ID: do not come back."},
        **problems(404),
    },
)
async def watch_job(
    job_id: JobId,
    services: ServicesDep,
    newest: Annotated[bool, Query(description="Begin with the last event, not with the first.")] = False,  # noqa: FBT002
    last_event_id: Annotated[str | None, Header(description="Only events after this one.")] = None,
) -> Response:
    """Server-Sent Events until the job has ended. An id that is none starts from the beginning."""
    job = await to_thread.run_sync(services.queue.get, job_id)
    after = _event_number(last_event_id)
    if job.state in FINAL_STATES and after > 0:
        rest = await to_thread.run_sync(lambda: services.events.since(job_id, after=after, limit=1))
        if not rest:
            return Response(status_code=204)
    if newest and not after:
        after = await to_thread.run_sync(services.events.newest, job_id) - 1
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(services.live.watch(job_id, after=max(0, after)), media_type=EVENT_STREAM, headers=headers)


def _event_number(header: str | None) -> int:
    """The number in `Last-Event-ID`; 0, the beginning, for anything else."""
    text = (header or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
