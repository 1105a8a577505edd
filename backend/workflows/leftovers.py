"""What jobs leave behind that nobody will need: journals of jobs that have ended. It knows rows and folders only."""

from __future__ import annotations

import logging

from backend.config import Settings
from backend.contracts import FINAL_STATES
from backend.errors import NotFoundError, SightglassError
from backend.jobs.queue import JobQueue
from backend.storage.database import Database
from backend.storage.journal import FileJournal

log = logging.getLogger(__name__)


def is_over(job_id: str, *, settings: Settings) -> bool:
    """Whether a job has ended for good; of a job that this installation does not know nothing is said."""
    database = Database(settings.resolved_database_url)
    try:
        return JobQueue(database).get(job_id).state in FINAL_STATES
    except NotFoundError:
        return False
    finally:
        database.close()


def remove_old_journals(settings: Settings) -> int:
    """Remove what jobs that have ended or are gone have left in the jobs' folder; returns how many folders went.

    A job ends without its own help when it is cancelled by force, or killed once too often.
    """
    if not settings.jobs_dir.is_dir():
        return 0
    database, removed = Database(settings.resolved_database_url), 0
    try:
        queue = JobQueue(database)
        for folder in [entry for entry in settings.jobs_dir.iterdir() if entry.is_dir()]:
            if _ended(queue, folder.name) and FileJournal(folder).remove():
                removed += 1
    except SightglassError as error:
        log.warning("old journals stay", extra={"detail": error.detail})
    finally:
        database.close()
    return removed


def _ended(queue: JobQueue, job_id: str) -> bool:
    try:
        return queue.get(job_id).state in FINAL_STATES
    except NotFoundError:
        return True
