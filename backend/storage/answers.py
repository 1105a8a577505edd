"""A model's answers to the test images, as a file in its bundle. It knows neither how they were found nor HTTP."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from backend.contracts import TestPredictions
from backend.errors import InputError, NotFoundError
from backend.storage.files import atomic_write

ANSWERS_FILE = "test_predictions.json"


def write_answers(folder: Path, answers: TestPredictions) -> None:
    """Put the file into the model's folder; it appears whole or not at all."""
    atomic_write(folder / ANSWERS_FILE, answers.model_dump_json())


def read_answers(folder: Path) -> TestPredictions:
    """Read the file back.

    Raises:
        NotFoundError: the model has none: it is gone, or an earlier version saved it.
        InputError: the file is damaged.
    """
    try:
        return TestPredictions.model_validate_json((folder / ANSWERS_FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            f"Model '{folder.name}' has no answers to single test images; they are kept since this version. "
            "Train again to have them: POST /api/cv/train/start."
        ) from None
    except ValidationError as error:
        raise InputError(
            f"'{folder.name}/{ANSWERS_FILE}' is damaged: {error.errors()[0]['msg']}. Train again."
        ) from error
