"""The quality check as routes see it: every new dataset and version gets one. Knows the job by its kind only."""

from __future__ import annotations

from backend.api.services import Services
from backend.contracts import Job


def queue_check(services: Services, dataset_id: str, version: int) -> Job:
    """Queue the check of a version that has just been stored."""
    return services.verbs.queue_check(services.queue, dataset_id=dataset_id, version=version)
