"""The journal around a job that goes on where an earlier attempt was cut short: opened, kept or removed by its end.

It does not know what the job does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from backend.config import Settings
from backend.contracts import Job, RunControl
from backend.errors import JobCancelled
from backend.jobs.queue import JobQueue
from backend.storage.database import Database
from backend.storage.journal import FileJournal


@contextmanager
def resumable(job: Job, database: Database, *, settings: Settings, control: RunControl) -> Iterator[FileJournal]:
    """Hand out the job's journal; what was written is removed where nobody will go on from it.

    Raises:
        JobCancelled: somebody cancelled and what had finished is kept; or as it came.
    """
    came_further = partial(JobQueue(database).made_progress, job.job_id)
    journal = FileJournal(settings.jobs_dir / job.job_id, on_progress=came_further)
    try:
        yield journal
    except JobCancelled:
        raise  # perhaps only because another worker has the job now; what nobody needs is swept away later
    except Exception:
        journal.remove()
        raise
    journal.remove()
    if control.ended_early:
        raise JobCancelled("The job was cancelled; what had finished is kept.")
