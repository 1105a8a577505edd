"""Export: a saved model becomes a file that a person takes home."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.config import Settings
from backend.contracts import Dataset, ModelExport, ModelInfo, Results
from backend.data.images import open_image
from backend.data.manifest import load_dataset, require_stored
from backend.errors import ImageError, InputError, NotFoundError
from backend.storage.answers import read_answers
from backend.storage.folders import folders_of
from backend.workflows.mishaps import in_plain_words

if TYPE_CHECKING:
    from backend.inference.exporters import ExportedFile

SEED = 42


def export_model(
    settings: Settings,
    model: ModelInfo,
    *,
    format: str,  # noqa: A002 - the contract's word
    results: Results | None = None,
) -> ExportedFile:
    """Make the file of one format, unless it lies there already. Takes seconds where a network is converted.

    Raises:
        InputError: an unknown format; the message names the allowed ones.
        NotFoundError: the model's folder is gone.
        ConflictError: the model cannot be had in this format, or the file would not answer as the model does.
        DiskFullError: there is no room for the file.
    """
    from backend.inference.exporters import Surroundings, export

    folder = settings.models_dir / model.model_id
    around = Surroundings(results=results, pictures=partial(pictures_of, settings, model, folder))
    with in_plain_words(settings.data_dir):
        return export(folder, format, around=around)


def list_exports(settings: Settings, model: ModelInfo) -> list[ModelExport]:
    """Every format, and what of it lies there. Loads no torch."""
    from backend.inference.exporters import exports_of

    return exports_of(settings.models_dir / model.model_id, model)


def pictures_of(settings: Settings, model: ModelInfo, folder: Path, *, root: Path | None = None) -> Iterator[Any]:
    """Pictures of the dataset that a model was trained on: those of its test first, then others, both shuffled.

    Opened one by one. `root` is the dataset's folder where it is not in the service's. Nothing where it is gone;
    pictures that are gone or cannot be read are left out.
    """
    folders = folders_of(settings)
    try:
        root = root or require_stored(settings.datasets_dir, model.dataset_id, folders=folders, images=False)
        dataset = load_dataset(root, version=model.dataset_version)
    except (NotFoundError, InputError):
        return
    for path in _paths(dataset, _tested(folder)):
        try:
            yield open_image(folders.fetch_file(dataset.root, path), max_pixels=settings.max_image_pixels)
        except ImageError:
            continue


def _paths(dataset: Dataset, tested: frozenset[str]) -> list[str]:
    order = random.Random(SEED)
    items = list(dataset.items)
    order.shuffle(items)
    return [item.path for item in sorted(items, key=lambda item: item.image_id not in tested)]


def _tested(folder: Path) -> frozenset[str]:
    try:
        return frozenset(one.image_id for one in read_answers(folder).images)
    except (NotFoundError, InputError):
        return frozenset()
