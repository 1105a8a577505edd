"""The audit log: who did what, when, on which id, from where."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from backend.api.deps import ServicesDep
from backend.api.problems import problems
from backend.contracts import AuditPage, Id

BEFORE = "Only entries before this one: `next_before` of the page before."

router = APIRouter(prefix="/api", tags=["audit"])


@router.get("/audit", responses=problems())
def read_audit_log(
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description=BEFORE)] = None,
    subject: Annotated[Id | None, Query(description="Only entries about this dataset, job or model.")] = None,
) -> AuditPage:
    """Who trained, promoted, deleted what: newest first. Keys are told by name or fingerprint."""
    return services.audit.page(limit=limit, before=before, subject=subject)
