"""Records of an upload that arrives in pieces."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from backend.contracts.base import Id, Record, utc_now


class Upload(Record):
    """An upload that arrives in pieces. `job_id`: the job that makes a dataset of it, once all of it is there."""

    upload_id: Id
    length: int = Field(ge=0, description="Bytes that it will have.")
    filename: str = ""
    name: str = Field(description="The dataset's name.")
    created_at: datetime = Field(default_factory=utc_now)
    job_id: Id | None = None
    dataset_id: Id | None = None
