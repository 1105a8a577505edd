"""A saved model's folder: which files there are, and its metadata. Free of torch, and it opens no weights."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from backend.contracts import ModelInfo
from backend.errors import InputError, NotFoundError

WEIGHTS_FILE = "model.pth"
INFO_FILE = "model.json"
REFERENCE_FILE = "reference.npz"
CHECKPOINTS = "checkpoints"  # of a network that was trained as a whole: the best epoch, before calibration
BEST = "best_model_epoch*.pt"  # as `engine.best_checkpoint` names them


def require_file(folder: Path, name: str) -> Path:
    """Return the path of one of the folder's files.

    Raises:
        NotFoundError: it is not there.
    """
    path = folder / name
    if not path.is_file():
        raise _missing(folder, name)
    return path


def best_checkpoint(folder: Path) -> Path | None:
    """The weights of the best epoch in a model's folder; None where no epoch was chosen, or in a model of before."""
    return next(iter(sorted((folder / CHECKPOINTS).glob(BEST))), None)


def load_info(folder: Path) -> ModelInfo:
    """Read a saved model's metadata.

    Raises:
        NotFoundError: there is no model in this folder.
        InputError: `model.json` is damaged.
    """
    try:
        return ModelInfo.model_validate_json((folder / INFO_FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError):  # asked by reading: it may be deleted in this very moment
        raise _missing(folder, INFO_FILE) from None
    except ValidationError as error:
        raise InputError(f"'{folder.name}/{INFO_FILE}' is damaged: {error}. Train again.") from error


def _missing(folder: Path, name: str) -> NotFoundError:
    return NotFoundError(f"There is no model in '{folder.name}': {name} is missing. Train again.")
