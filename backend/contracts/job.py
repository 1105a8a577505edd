"""Records of the `jobs` room. A job is a row; the queue knows what it is called, never what it means."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from backend.contracts.base import Id, Record, utc_now
from backend.contracts.run import CandidateProgress

JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
FINAL_STATES: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})
# Jobs that only look at a dataset, or do not need it: it may go while they run, and none of them makes a model of it.
BATCH_KIND = "predict_batch"
LOOKING_KINDS: frozenset[str] = frozenset({"check_quality", BATCH_KIND})


class Job(Record):
    """One piece of work. Field names are the HTTP contract; `payload` is the handler's own."""

    job_id: Id
    kind: str
    dataset_id: Id | None = None
    state: JobState = "queued"
    progress: float = Field(0.0, ge=0.0, le=1.0)
    stage: str = "queued"
    message: str = ""
    candidates: tuple[CandidateProgress, ...] = ()
    payload: dict[str, Any] = Field(default_factory=dict)
    attempts: int = 0
    cancel_requested: bool = False
    error: str | None = None
    created_at: datetime = Field(default_factory=utc_now)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    heartbeat_at: datetime | None = None
    eta_s: float | None = None
    request_id: str = Field("", description="Of the request that started it, as in the service's log.")


class JobEvent(Record):
    """One entry of a job's event log; `event_id` rises, so that a watcher resumes without a gap."""

    event_id: int
    job_id: Id
    type: Literal["state", "progress"]
    data: dict[str, Any]
    created_at: datetime
