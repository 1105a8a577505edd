"""`sightglass train --server`: the comparison runs at a service; data goes there, results and model come back."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend.cli.console import messages
from backend.cli.following import follow_job
from backend.cli.service import Service
from backend.contracts import Recipe, Results
from backend.engine.model_folder import CHECKPOINTS
from backend.errors import ConflictError
from backend.storage.files import atomic_directory
from backend.workflows.experiment import close_experiment, open_experiment


def train_at(
    service: Service, archive: Path, options: dict[str, Any], *, out: Path, shown: bool
) -> tuple[Results, Path]:
    """Upload, train, wait, save; returns the results and the model's folder inside `out`.

    Raises:
        SightglassError: the service refused, or the job ended without results; the words are the service's.
    """
    return train_stored_at(service, send(service, archive), options, out=out, shown=shown)


def send(service: Service, archive: Path) -> str:
    """Upload a dataset; its id at the service."""
    messages().print(f"Uploading {archive} to {service.address}", markup=False)
    with as_zip(archive) as file:
        return str(service.upload(file)["dataset_id"])


def train_stored_at(
    service: Service, dataset_id: str, options: dict[str, Any], *, out: Path, shown: bool
) -> tuple[Results, Path]:
    """Train on a dataset that the service has, wait, save.

    Raises:
        SightglassError: as `train_at`.
    """
    console = messages()
    job = service.json("POST", "/api/cv/train/start", json={**options, "dataset_id": dataset_id})
    console.print(f"Job {job['job_id']} on dataset {dataset_id}", markup=False)
    ended = follow_job(service, job["job_id"], console, shown=shown)
    if ended["state"] != "succeeded":
        raise ConflictError(
            f"Job '{job['job_id']}' ended as {ended['state']}: {ended.get('error') or ended['message']}"
        )
    results = Results.model_validate(service.json("GET", f"/api/cv/jobs/{job['job_id']}/results"))
    open_experiment(out, Recipe.model_validate(results.recipe))
    folder = _fetch_model(service, results.model_id, out / "models" / results.model_id)
    _fetch_checkpoint(service, results, folder)
    close_experiment(out, results, folder)
    return results, folder


def suspect_addresses(service: Service, results: Results) -> dict[str, str]:
    """Where the images of suspect labels can be seen, by their ids."""
    images = f"{service.address}/api/cv/datasets/{results.dataset_id}/images"
    return {suspect.image_id: f"{images}/{suspect.image_id}" for suspect in results.suspect_labels}


def _fetch_model(service: Service, model_id: str, folder: Path) -> Path:
    """The model's folder as the service has it, whole or not at all."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch) / "bundle.zip"
        service.download(f"/api/cv/models/{model_id}/download?format=bundle", bundle)
        with atomic_directory(folder) as target, zipfile.ZipFile(bundle) as archive:
            for member in archive.infolist():
                name = Path(member.filename).name  # a bundle is flat; nothing is written beside its folder
                with archive.open(member) as source, (target / name).open("wb") as file:
                    shutil.copyfileobj(source, file)
    return folder


def _fetch_checkpoint(service: Service, results: Results, folder: Path) -> None:
    """The best epoch's weights, where the service says that there are some."""
    name = results.experiment.checkpoint if results.experiment else None
    if name is not None:
        target = folder / CHECKPOINTS / Path(name).name
        target.parent.mkdir(exist_ok=True)
        service.download(f"/api/cv/models/{results.model_id}/download?format=checkpoint", target)


@contextmanager
def as_zip(data: Path) -> Iterator[Path]:
    """The archive itself; a folder is packed first, without deflating what is compressed already."""
    if data.is_file():
        yield data
        return
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / f"{data.resolve().name}.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(data.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(data))
        yield target
