"""Our registry of models, shown in MLflow's: after each promotion, rollback, training and deletion.

Nobody waits for it and nothing fails by it: a store that is away is told the next time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from backend.config import Settings
from backend.storage.database import Database
from backend.storage.model_registry import AnyModel, ModelRegistry, TableModelRegistry
from backend.tracking import mirror_registry
from backend.tracking.background import BackgroundSteps

logger = logging.getLogger(__name__)


def mirror_models(settings: Settings, dataset_ids: Sequence[str]) -> None:
    """Bring MLflow's registry in line for some datasets; what goes wrong is logged. With tracking off, nothing."""
    if settings.resolved_mlflow_uri is None:
        return
    database = Database(settings.resolved_database_url)
    try:
        images, tables = ModelRegistry(database), TableModelRegistry(database)
        for dataset_id in dataset_ids:
            known: list[AnyModel] = [
                *images.models(dataset_id=dataset_id),
                *tables.models(dataset_id=dataset_id),
            ]  # one kind has any
            mirror_registry(settings, dataset_id, known)
    except Exception as error:  # noqa: BLE001 - the edge of an errand: stores fail in their drivers' own ways
        # The class only: a store's message may hold a password.
        logger.warning("MLflow's registry was not told", extra={"datasets": dataset_ids, "error": type(error).__name__})
    finally:
        database.close()


def mirror_in_background(settings: Settings, dataset_id: str) -> None:
    """The same in a thread, for a process that has MLflow loaded anyway; returns at once."""
    if settings.resolved_mlflow_uri is not None:
        steps = BackgroundSteps("mlflow-registry")
        steps.submit(lambda: mirror_models(settings, [dataset_id]))
        steps.close(timeout_s=0)
