"""Export: a saved model becomes a file that a person takes home."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from backend.config import Settings
from backend.contracts import Dataset, DatasetInfo, ModelExport, ModelInfo, Results
from backend.data.manifest import load_dataset, require_stored
from backend.data.pictures import open_picture, where
from backend.engine.model_folder import load_info
from backend.errors import InputError, NotFoundError
from backend.storage.answers import read_answers
from backend.storage.catalog import Catalog
from backend.storage.database import Database
from backend.storage.files import atomic_file
from backend.storage.folders import folders_of
from backend.workflows.evaluate import find_model
from backend.workflows.mishaps import in_plain_words
from backend.workflows.rivals_on_disk import dataset_places

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
    around = Surroundings(
        results=results,
        pictures=partial(pictures_of, settings, model, folder),
        dataset=partial(_info_of, settings, model),
    )
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
    dataset = _dataset_of(settings, model, root=root)
    if dataset is None:
        return
    for path in _paths(dataset, _tested(folder)):
        try:
            folders.fetch_file(dataset.root, where(path).file)
            yield open_picture(dataset.root, path, max_pixels=settings.max_image_pixels)
        except (InputError, NotFoundError):
            continue


def _dataset_of(settings: Settings, model: ModelInfo, *, root: Path | None = None) -> Dataset | None:
    """The version that a model was trained on; None where it is gone."""
    try:
        root = root or require_stored(
            settings.datasets_dir, model.dataset_id, folders=folders_of(settings), images=False
        )
        return load_dataset(root, version=model.dataset_version)
    except (NotFoundError, InputError):
        return None


def _info_of(settings: Settings, model: ModelInfo, *, root: Path | None = None) -> DatasetInfo | None:
    dataset = _dataset_of(settings, model, root=root)
    return None if dataset is None else dataset.info


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


def export_folder(model: str, *, format: str, target: Path, settings: Settings) -> tuple[Path, Path]:  # noqa: A002
    """Write one format of a model on this disk to `target`, a file's name or a folder.

    Returns what was written, and the file in the model's folder that it is a copy of.

    `model` is its folder, the folder of the run that made it, or its id in the service's data folder.

    Raises:
        InputError: an unknown format.
        NotFoundError: there is no such model.
        ConflictError: as `export_model`.
    """
    from backend.inference.exporters import Surroundings, export

    path = Path(model).expanduser()
    folder = find_model(settings.models_dir / model if not path.exists() and str(path) == path.name else path)
    run = folder.resolve().parents[1]
    info = load_info(folder)
    root = next((place for place in dataset_places(run, info.dataset_id, settings) if place.is_dir()), None)
    around = Surroundings(
        results=_results_of(run, info, settings),
        pictures=partial(pictures_of, settings, info, folder, root=root),
        dataset=partial(_info_of, settings, info, root=root),
    )
    made = export(folder, format, around=around)
    wanted = target / made.filename if target.is_dir() else target
    with atomic_file(wanted) as temporary:
        shutil.copyfile(made.path, temporary)
    return wanted, made.path


def _results_of(run: Path, info: ModelInfo, settings: Settings) -> Results | None:
    """The results that a run on the command line leaves beside its models; of the service's own models its rows.

    Without them a card says less, and stays so: it is made once.
    """
    if run == settings.data_dir.resolve():
        return _published(info, settings)
    try:
        results = Results.model_validate_json((run / "results.json").read_bytes())
    except (OSError, ValidationError):
        return None
    return results if results.model_id == info.model_id else None


def _published(info: ModelInfo, settings: Settings) -> Results | None:
    with closing(Database(settings.resolved_database_url)) as database:
        try:
            results = Catalog(database).results_for_job(info.job_id or "")
        except NotFoundError:
            return None
    return results if results.model_id == info.model_id else None
