"""Export: a saved model becomes a file that a person takes home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.config import Settings
from backend.contracts import ModelInfo

if TYPE_CHECKING:
    from backend.inference.exporters import ExportedFile


def export_model(settings: Settings, model: ModelInfo, *, format: str) -> ExportedFile:  # noqa: A002 - the contract's word
    """Make the file of one format.

    Raises:
        InputError: an unknown format; the message names the allowed ones.
        NotFoundError: the model's folder is gone.
    """
    from backend.inference.exporters import export

    return export(settings.models_dir / model.model_id, format)
