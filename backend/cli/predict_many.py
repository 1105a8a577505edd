"""`sightglass predict` of a ZIP, a TAR or a folder: a table with a row for each file, here or at a service."""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backend.cli.console import messages
from backend.cli.following import follow_job, following
from backend.cli.remote import as_zip
from backend.cli.service import service_at
from backend.config import Settings
from backend.data.names import PACKED_SUFFIXES
from backend.errors import ConflictError, InputError
from backend.storage.files import atomic_file

if TYPE_CHECKING:
    from backend.workflows.thresholds import ThresholdChoice

FORMATS = {".csv": "csv", ".json": "json"}


@dataclass(frozen=True)
class Many:
    """What was asked for. `model` is a folder, at a service an id; `output` None: stdout."""

    model: Path
    source: Path
    output: Path | None
    top_k: int
    server: str | None
    follow: bool
    choice: ThresholdChoice

    @property
    def format(self) -> str:
        """Of the table, by the name of the output: csv or json."""
        return "csv" if self.output is None else FORMATS[self.output.suffix.lower()]


def is_many(path: Path) -> bool:
    return path.is_dir() or path.name.lower().endswith(PACKED_SUFFIXES)


def the_only(sources: list[Path]) -> Path:
    """The one ZIP or folder.

    Raises:
        InputError: there are several, or it is neither.
    """
    if len(sources) == 1 and (is_many(sources[0]) or not sources[0].exists()):
        if not sources[0].exists():
            raise InputError(f"There is no '{sources[0]}'. Name a ZIP, a TAR or a folder of pictures.")
        return sources[0]
    raise InputError(
        "A table is written of one ZIP, TAR or folder of pictures at a time. Pack the pictures into one, or leave out "
        "--output and --server."
    )


def predict_many(many: Many, settings: Settings) -> None:
    """Answer, and write the table.

    Raises:
        InputError: the output's suffix is neither .csv nor .json.
        SightglassError: as the workflow, or what the service said.
    """
    if many.output is not None and many.output.suffix.lower() not in FORMATS:
        raise InputError(f"--output: '{many.output.name}' must end in .csv or .json.")
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "table"
        said = _at_service(many, table, settings) if many.server is not None else _here(many, table, settings)
        if many.output is None:
            sys.stdout.write(table.read_text(encoding="utf-8"))
        else:
            with atomic_file(many.output) as temporary:
                shutil.copyfile(table, temporary)
    messages().print(said, markup=False)


def _here(many: Many, table: Path, settings: Settings) -> str:
    from backend.engine.model_folder import load_info
    from backend.workflows.batch_results import FORMATS as FILES
    from backend.workflows.batch_results import BatchQuestion
    from backend.workflows.evaluate import find_model
    from backend.workflows.predict_batch import predict_into

    folder = find_model(many.model)
    thresholds = many.choice.of(load_info(folder)) if many.choice else None
    asked = BatchQuestion(many.top_k, thresholds)
    answers = table.with_name("answers")
    with following(messages(), shown=many.follow) as control:
        summary = predict_into(answers, folder, many.source, asked=asked, settings=settings, control=control)
    (answers / FILES[many.format][0]).rename(table)
    return summary.in_words()


def _at_service(many: Many, table: Path, settings: Settings) -> str:
    with service_at(many.server, settings) as service, as_zip(many.source) as archive:
        with archive.open("rb") as file:
            files = {"file": (archive.name, file, "application/zip")}
            path = f"/api/cv/predict/{many.model}/batch"
            job = service.json("POST", path, files=files, params={"top_k": many.top_k, **many.choice.query()})
        ended = follow_job(service, job["job_id"], messages(), shown=many.follow)
        if ended["state"] != "succeeded":
            raise ConflictError(
                f"Job '{job['job_id']}' ended as {ended['state']}: {ended.get('error') or ended['message']}"
            )
        service.download(f"/api/cv/jobs/{job['job_id']}/download?format={many.format}", table)
    return str(ended["message"])
