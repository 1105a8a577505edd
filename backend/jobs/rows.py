"""A job's row in the database to and from its record; what progress does to a record. Pure."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import RowMapping

from backend.contracts import CandidateProgress, Job, Progress, utc_now

_CANDIDATES = TypeAdapter(tuple[CandidateProgress, ...])
_OWN_COLUMNS = frozenset({"sequence", "worker_id"})


def to_job(row: RowMapping) -> Job:
    """Return the record of a row."""
    fields = {name: value for name, value in row.items() if name not in _OWN_COLUMNS}
    fields["candidates"] = _CANDIDATES.validate_json(row["candidates"])
    fields["payload"] = json.loads(row["payload"])
    return Job.model_validate(fields)


def to_row(job: Job) -> dict[str, Any]:
    """Return the column values of a record."""
    values: dict[str, Any] = {name: getattr(job, name) for name in Job.model_fields}
    values["candidates"] = _CANDIDATES.dump_json(job.candidates).decode()
    values["payload"] = json.dumps(job.payload)
    return values


def with_progress(job: Job, progress: Progress) -> Job:
    """Return the job after one report. The share done never goes back; the rest of the time follows from it."""
    share = job.progress if progress.progress is None else max(job.progress, min(max(progress.progress, 0.0), 1.0))
    candidates = job.candidates if progress.candidate is None else _replaced(job.candidates, progress.candidate)
    return job.model_copy(
        update={
            "progress": share,
            "stage": progress.stage,
            "message": progress.message,
            "candidates": candidates,
            "eta_s": _remaining_s(job, share) if progress.eta_s is None else round(progress.eta_s, 1),
        }
    )


def with_candidates_closed(job: Job, *, reason: str) -> Job:
    """Return the job with no candidate left waiting: finished ones stay, the others are skipped with the reason."""
    closed = tuple(
        row.model_copy(update={"state": "skipped", "stage": "skipped", "reason": reason})
        if row.state in ("queued", "running")
        else row
        for row in job.candidates
    )
    return job.model_copy(update={"candidates": closed})


def _replaced(rows: tuple[CandidateProgress, ...], new: CandidateProgress) -> tuple[CandidateProgress, ...]:
    if any(row.name == new.name for row in rows):
        return tuple(new if row.name == new.name else row for row in rows)
    return (*rows, new)


def _remaining_s(job: Job, share: float) -> float | None:
    """Seconds to go if the rest takes as long as the part done. Below 2% that says nothing yet."""
    if job.started_at is None or share < 0.02:
        return None
    elapsed = (utc_now() - job.started_at).total_seconds()
    return round(max(0.0, elapsed * (1.0 - share) / share), 1)
