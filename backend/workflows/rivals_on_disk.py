"""A model and the data that it was made from, found by a folder or an id: what a comparison without a service needs."""

from __future__ import annotations

from pathlib import Path

from backend.config import Settings
from backend.data.manifest import load_dataset
from backend.engine.model_folder import load_info
from backend.errors import NotFoundError
from backend.storage.answers import read_answers
from backend.workflows.compare_models import Rival
from backend.workflows.dataset_desk import find_dataset
from backend.workflows.evaluate import find_model


def find_rival(model: str, *, data: str | None, settings: Settings) -> Rival:
    """Open a model for a comparison.

    `model` is its folder, the folder of the run that made it, or its id in the service. `data` is the dataset that it
    was trained on; None: the one in the folder of its run, or of the service.

    Raises:
        NotFoundError: the model, its answers to its test images or its dataset cannot be found.
    """
    path = Path(model).expanduser()
    folder = find_model(settings.models_dir / model if not path.exists() and str(path) == path.name else path)
    info = load_info(folder)
    root = _dataset_root(folder, info.dataset_id, data=data, settings=settings)
    dataset = load_dataset(root, version=info.dataset_version)
    return Rival(info=info, folder=folder, answers=read_answers(folder), dataset=dataset)


def _dataset_root(folder: Path, dataset_id: str, *, data: str | None, settings: Settings) -> Path:
    if data is not None:
        return find_dataset(data, settings=settings)
    run = folder.resolve().parents[1]
    for place in dataset_places(run, dataset_id, settings):
        if place.is_dir():
            return place
    raise NotFoundError(
        f"The dataset '{dataset_id}' of model '{folder.name}' is not beside it. Name its folder with --data."
    )


def dataset_places(run: Path, dataset_id: str, settings: Settings) -> tuple[Path, ...]:
    """Where the dataset of a run's model may lie: beside the run, or in the service's data folder."""
    return run / "dataset" / dataset_id, run / "datasets" / dataset_id, settings.datasets_dir / dataset_id
