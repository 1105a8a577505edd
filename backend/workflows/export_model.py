"""Export: a saved model becomes a file that a person takes home."""

from __future__ import annotations

from backend.config import Settings
from backend.contracts import ModelInfo
from backend.inference.exporters import ExportedFile, export


def export_model(settings: Settings, model: ModelInfo, *, format: str) -> ExportedFile:  # noqa: A002 - the contract's word
    """Make the file of one format.

    Raises:
        InputError: an unknown format; the message names the allowed ones.
        NotFoundError: the model's folder is gone.
    """
    return export(settings.models_dir / model.model_id, format)
