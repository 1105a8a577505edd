"""Jobs: list, look at, watch, cancel."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Annotated

import anyio
from anyio import to_thread
from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from backend.api.deps import JobId, ServicesDep
from backend.api.problems import problems
from backend.api.schemas import JobView, job_view
from backend.api.services import Services
from backend.contracts import FINAL_STATES, Id, JobEvent, JobState

router = APIRouter(prefix="/api/cv", tags=["jobs"])

POLL_S = 0.25
PING_S = 15.0
RETRY_MS = 1000
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
    return [job_view(job, services) for job in found]


@router.get("/jobs/{job_id}", responses=problems(404))
def get_job(job_id: JobId, services: ServicesDep) -> JobView:
    """One job: how far it is, what each network does."""
    return job_view(services.queue.get(job_id), services)


@router.post("/jobs/{job_id}/cancel", status_code=202, responses=problems(404, 409))
def cancel_job(job_id: JobId, services: ServicesDep) -> JobView:
    """Ask a job to end: within 5 s it is cancelled. What its finished networks reached stays on it."""
    return job_view(services.queue.request_cancel(job_id), services)


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {EVENT_STREAM: {}}, "description": "Events `state` and `progress`; `data` is the job."},
        204: {"description": "The job has ended and there is nothing after Last-Event-ID: do not come back."},
        **problems(404),
    },
)
async def watch_job(
    job_id: JobId,
    services: ServicesDep,
    last_event_id: Annotated[str | None, Header(description="Only events after this one.")] = None,
) -> Response:
    """Server-Sent Events until the job has ended. An id that is none starts from the beginning."""
    job = await to_thread.run_sync(services.queue.get, job_id)
    after = _event_number(last_event_id)
    if job.state in FINAL_STATES and after > 0:
        rest = await to_thread.run_sync(_after, services, job_id, after, 1)
        if not rest:
            return Response(status_code=204)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(job_id, after, services), media_type=EVENT_STREAM, headers=headers)


async def _stream(job_id: str, after: int, services: Services) -> AsyncIterator[bytes]:
    """Events as they come. The job's end is an event like any other, so nothing is missed before it."""
    spoke_at = time.monotonic()
    yield format_sse_event(retry=RETRY_MS)
    while True:
        events = await to_thread.run_sync(_after, services, job_id, after)
        for event in events:
            after = event.event_id
            spoke_at = time.monotonic()
            yield _wire(event)
        if events and _is_end(events[-1]):
            return
        if not events:
            if await to_thread.run_sync(_has_ended_before, services, job_id, after):
                return
            if time.monotonic() - spoke_at > PING_S:
                spoke_at = time.monotonic()
                yield KEEPALIVE_COMMENT
            await anyio.sleep(POLL_S)


def _after(services: Services, job_id: str, event_id: int, limit: int = 500) -> list[JobEvent]:
    return services.events.since(job_id, after=event_id, limit=limit)


def _wire(event: JobEvent) -> bytes:
    return format_sse_event(data_str=json.dumps(event.data), event=event.type, id=str(event.event_id))


def _is_end(event: JobEvent) -> bool:
    return event.type == "state" and event.data["state"] in FINAL_STATES


def _has_ended_before(services: Services, job_id: str, after: int) -> bool:
    """Whether nothing more will come after that event: asked for when a watcher has an id beyond the end."""
    return services.queue.get(job_id).state in FINAL_STATES and not _after(services, job_id, after, 1)


def _event_number(header: str | None) -> int:
    """The number in `Last-Event-ID`; 0, the beginning, for anything else."""
    text = (header or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
