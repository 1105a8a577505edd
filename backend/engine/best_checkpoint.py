"""The weights of a fine-tune's best epoch as a file, its name saying the epoch and the score.

One file at a time: a better epoch replaces it. It is a plain state_dict; what is handed out is a bundle.
"""

from __future__ import annotations

from pathlib import Path

import torch

from backend.storage.files import atomic_file

PREFIX = "best_model_epoch"


def checkpoint_name(*, epoch: int, score: float, by: str) -> str:
    """`best_model_epoch{N}_{f1 or accuracy}_{score}.pt`."""
    return f"{PREFIX}{epoch}_{'f1' if by == 'macro_f1' else by}_{score:.4f}.pt"


def keep_best(folder: Path, state: dict[str, torch.Tensor], *, epoch: int, score: float, by: str) -> Path:
    """Write the file that `checkpoint_name` names, and remove the one before it."""
    path = folder / checkpoint_name(epoch=epoch, score=score, by=by)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        torch.save({key: tensor.detach().cpu() for key, tensor in state.items()}, temporary)
    for other in folder.glob(f"{PREFIX}*.pt"):
        if other != path:
            other.unlink(missing_ok=True)
    return path
