"""Records of the audit log: who did what, when, from where. It never holds a key."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from backend.contracts.base import Record

AuditAction = Literal[
    "uploaded",
    "changed_labels",
    "added_images",
    "deleted_dataset",
    "trained",
    "cancelled",
    "predicted_batch",
    "promoted",
    "rolled_back",
    "archived",
    "restored",
    "deleted",
    "downloaded",
]


class Caller(Record):
    """Who asks: a key by its name or fingerprint, or `local` where the service asks for no key."""

    name: str
    address: str = Field("", description="The network address that the request came from.")
    request_id: str = Field("", description="The same as in the answer's X-Request-ID and in the log.")


class AuditEntry(Record):
    """One line of the audit log. Lines are only ever added."""

    entry_id: int
    created_at: datetime
    actor: str = Field(description="The name or fingerprint of the key that was sent; 'local' where none is needed.")
    action: AuditAction
    subject: str = Field(description="The id of the dataset, job or model that it was done to.")
    dataset_id: str | None = None
    detail: str = ""
    address: str = ""
    request_id: str = ""


class AuditPage(Record):
    """Part of the audit log, newest first."""

    entries: tuple[AuditEntry, ...]
    next_before: int | None = Field(None, description="Send as `before` for those that follow; None: that is all.")
