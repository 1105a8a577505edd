"""Import what lies on the server already: for datasets that are too large to send."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from backend.api.deps import AuditorDep, ServicesDep
from backend.api.problems import problems
from backend.api.routes.datasets import LONGEST_NAME, dataset_name
from backend.api.schemas import JobView, job_view
from backend.api.uploads import LimitedRoute
from backend.storage.files import new_id

router = APIRouter(prefix="/api/cv", tags=["datasets"], route_class=LimitedRoute)

LONGEST_PATH = 4096


class ImportRequest(BaseModel):
    """What to import."""

    model_config = ConfigDict(extra="forbid")

    path: Annotated[str, Field(min_length=1, max_length=LONGEST_PATH)] = Field(
        description="A folder, ZIP or TAR in one of SIGHTGLASS_IMPORT_ROOTS; relative paths begin there."
    )
    name: str | None = Field(None, max_length=LONGEST_NAME, description="Without it, the folder's or file's own name.")


@router.post("/import", status_code=202, responses=problems(400, 404, 413))
def import_path(asked: ImportRequest, services: ServicesDep, auditor: AuditorDep, response: Response) -> JobView:
    """Import a folder, ZIP or TAR that lies on the server, as a job; its `dataset_id` is the new dataset's."""
    path = services.verbs.allowed_path(asked.path, services.settings.import_roots)
    name = path.name if path.is_dir() and not asked.name else dataset_name(asked.name, path.name)
    job = services.queue.enqueue(
        services.verbs.import_kind,
        {"path": str(path), "name": name[:LONGEST_NAME]},
        dataset_id=new_id("ds"),
    )
    auditor.note("uploaded", str(job.dataset_id), dataset_id=job.dataset_id, detail=f"{name}, from the server's disk")
    view = job_view(job, services)
    response.headers["Location"] = view.links.self
    return view
