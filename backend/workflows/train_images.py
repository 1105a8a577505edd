"""Training: a job row becomes results and a model. The worker's handler, and the same thing without a service."""

from __future__ import annotations

import importlib
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from backend.config import Settings
from backend.contracts import Candidate, DatasetInfo, Job, Recipe, Results, RunControl
from backend.contracts.journal import Journal
from backend.contracts.misfit import misfit
from backend.data.augmentation_catalogue import chosen_augmentations
from backend.data.manifest import load_dataset, require_classes, require_stored
from backend.data.split import require_enough
from backend.errors import NotFoundError, RecipeError
from backend.execution.interpreter import keep_loaded
from backend.execution.pools import open_pool
from backend.registry import nearest
from backend.search.candidates import plan
from backend.storage.catalog import Catalog
from backend.storage.database import Database
from backend.storage.folders import folders_of
from backend.tracking import create_tracker, prepare_store
from backend.workflows.candidates import check_timm_networks
from backend.workflows.compare_models import compare_with_champion
from backend.workflows.experiment import close_experiment, open_experiment
from backend.workflows.leftovers import is_over, remove_old_journals
from backend.workflows.mirror_models import mirror_in_background
from backend.workflows.mishaps import in_plain_words
from backend.workflows.resumable_job import resumable

JOB_KIND = "train_images"
UNNAMED = "ds-unnamed"  # stands for a dataset that has no id yet


def check_recipe(recipe: Recipe, dataset: DatasetInfo, *, settings: Settings) -> list[Candidate]:
    """Check everything about a recipe that can be known before training, and return the networks it would try.

    Raises:
        RecipeError: an unknown network, class, augmentation or override; the message suggests the nearest.
        DatasetError: a class has too few images to be divided.
    """
    recipe.check_overrides()
    if recipe.classes:
        require_classes(dataset, recipe.classes)
    require_enough(dataset, recipe.classes)
    chosen_augmentations(recipe)
    recipe.loss.check(dataset.task, num_classes=len(recipe.classes or dataset.class_counts))
    return plan(recipe, settings)


def run_job(job: Job, *, control: RunControl, settings: Settings) -> None:
    """Train what a job asks for and publish results and model in one transaction, once.

    A job that is started again goes on where its journal ends; one that had published already only says so.

    Raises:
        JobCancelled: somebody cancelled; what had finished by then is published all the same.
        SightglassError: what a person can mend; the worker writes its detail on the row.
    """
    remove_old_journals(settings)
    database = Database(settings.resolved_database_url)
    try:
        with resumable(job, database, settings=settings, control=control) as journal:
            catalog = Catalog(database)
            if not catalog.published(job.job_id):
                with in_plain_words(settings.data_dir):
                    _train(job, control=control, settings=settings, journal=journal, catalog=catalog)
            if not control.ended_early:  # else the few seconds are over, and a part of a run challenges nobody
                with suppress(NotFoundError):  # somebody has deleted the model since an earlier attempt published it
                    model = catalog.model(model_id_of(job.job_id))
                    compare_with_champion(model, database, settings=settings, control=control)
    finally:
        database.close()


def _train(job: Job, *, control: RunControl, settings: Settings, journal: Journal, catalog: Catalog) -> None:
    from backend.search.compare import Run, compare

    recipe = Recipe.model_validate(job.payload)
    folders = folders_of(settings)
    folder = require_stored(settings.datasets_dir, recipe.dataset_id, folders=folders, control=control)
    dataset = load_dataset(folder, version=recipe.dataset_version)
    run = Run(
        settings=settings,
        control=control,
        tracker=create_tracker(settings),
        journal=journal,
        job_id=job.job_id,
        model_id=model_id_of(job.job_id),
    )
    outcome = compare(dataset, recipe, run=run)
    folders.publish(outcome.folder, control=control)  # the files first, then the row that makes them visible
    catalog.publish(outcome.results, outcome.model)
    mirror_in_background(settings, recipe.dataset_id)


def model_id_of(job_id: str) -> str:
    """A job's model has the job's own number, so that a job that is run again replaces what it left."""
    return f"model-{job_id.split('-', 1)[-1]}"


def warm_up() -> None:
    """Load what training needs before the first job asks: a cold `import timm` takes 3-12 s."""
    for module in ("backend.search.compare", "scipy.optimize"):
        importlib.import_module(module)
    from backend.engine.forward.openvino_library import load_openvino, openvino_version

    if openvino_version() is not None:
        with suppress(ImportError):  # whoever computes with it falls back, and logs why
            load_openvino()
    settings = Settings()
    prepare_store(settings, over=partial(is_over, settings=settings))


def recipe_from(options: dict[str, Any], dataset_id: str) -> Recipe:
    """Build a recipe from loose options, as the command line gives them.

    Raises:
        RecipeError: names the option, the value and what is allowed.
    """
    try:
        return Recipe.model_validate({**options, "dataset_id": dataset_id})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise RecipeError(f"There is no option '{key}'.{nearest(key, Recipe.model_fields)}") from error
        raise RecipeError(f"'{key}' does not fit: {misfit(first)}") from error


def train_archive(
    archive: Path, options: dict[str, Any], *, out: Path, settings: Settings, control: RunControl | None = None
) -> tuple[Results, Path]:
    """Train from a ZIP or a folder without a service; returns the results and the model's folder inside `out`.

    Raises:
        SightglassError: what a person can mend.
    """
    from backend.data import open_dataset

    recipe_from(options, UNNAMED).check_overrides()  # a slip of the pen is found before a large archive is read
    # everything that a person may have got wrong is found before torch's seconds of loading
    dataset = open_dataset(archive, into=out / "dataset", settings=settings)
    if options.get("dataset_version") is not None:
        dataset = load_dataset(dataset.root, version=options["dataset_version"])
    options = {**options, "dataset_version": dataset.info.version}
    recipe = recipe_from(options, dataset.info.dataset_id)
    check_recipe(recipe, dataset.info, settings=settings)
    check_timm_networks(recipe)

    from backend.search.compare import Run, compare

    keep_loaded()
    control = control or RunControl()
    with in_plain_words(out), open_pool(settings) as control.pool:
        run = Run(
            settings=settings,
            control=control,
            tracker=create_tracker(settings),
            models_dir=out / "models",
            checkpoints=open_experiment(out, recipe),
        )
        outcome = compare(dataset, recipe, run=run)
        close_experiment(out, outcome.results, outcome.folder)
    return outcome.results, outcome.folder
