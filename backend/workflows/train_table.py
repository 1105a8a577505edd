"""Training on a table: a job row becomes results and a model. The worker's handler."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from backend.config import Settings
from backend.contracts import Job, RunControl
from backend.contracts.table import TableInfo, TableRecipe
from backend.storage.catalog import TableCatalog
from backend.storage.database import Database
from backend.storage.files import remove_tree
from backend.storage.folders import folders_of
from backend.tracking import create_tracker
from backend.workflows.mirror_models import mirror_in_background
from backend.workflows.mishaps import in_plain_words
from backend.workflows.resumable_job import resumable
from backend.workflows.train_images import model_id_of

if TYPE_CHECKING:
    from backend.tabular.learn import TableRun

JOB_KIND = "train_table"


def check_table_recipe(recipe: TableRecipe, info: TableInfo) -> None:
    """Check what can be known of a recipe before training. Runs in a process that may hold scikit-learn.

    Raises:
        RecipeError, TableError: no such column or model, or the target cannot be predicted.
    """
    from backend.tabular.learn import check_models
    from backend.tabular.preparing import divide_columns, require_columns
    from backend.tabular.target import check_target

    check_models(recipe.models)
    check_target(info, recipe)
    require_columns(*divide_columns(info, recipe))


def list_table_models() -> list[dict[str, object]]:
    """The catalogue of models for tables, for people and forms."""
    from backend.tabular.models import BASELINE, MODELS

    return [
        {"name": spec.name, "title": spec.title, "description": spec.description, "most_rows": spec.most_rows}
        for spec in MODELS
        if spec.name != BASELINE
    ]


def run_job(job: Job, *, control: RunControl, settings: Settings) -> None:
    """Train what a job asks for and publish results and model in one transaction, once.

    A job that is started again goes on after its last finished candidate, by its journal.

    Raises:
        JobCancelled: somebody cancelled; what had finished by then is published all the same.
        SightglassError: what a person can mend; the worker writes its detail on the row.
    """
    begun = time.monotonic()
    from backend.tabular.learn import TableRun

    database = Database(settings.resolved_database_url)
    try:
        with resumable(job, database, settings=settings, control=control) as journal:
            catalog = TableCatalog(database)
            if catalog.published(job.job_id):
                return
            run = TableRun(
                job_id=job.job_id,
                model_id=model_id_of(job.job_id),
                folder=settings.models_dir / model_id_of(job.job_id),
                threads=settings.torch_threads,
                tracker=create_tracker(settings),
                journal=journal,
                begun=begun,
            )
            recipe = TableRecipe.model_validate(job.payload)
            with in_plain_words(settings.data_dir):
                _train(run, recipe, control=control, settings=settings, catalog=catalog)
    finally:
        database.close()


def _train(
    run: TableRun, recipe: TableRecipe, *, control: RunControl, settings: Settings, catalog: TableCatalog
) -> None:
    from backend.tabular.learn import learn
    from backend.tabular.table_folder import load_table

    folders = folders_of(settings)
    frame, info = load_table(folders.fetch(settings.datasets_dir / recipe.dataset_id, control=control))
    remove_tree(run.folder)  # left by an attempt that died before its row
    results, model = learn(frame, info, recipe, run=run, control=control)
    folders.publish(run.folder, control=control)
    catalog.publish(results, model)
    mirror_in_background(settings, recipe.dataset_id)
