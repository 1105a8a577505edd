"""The weights of a fine-tune's best epoch as a file: which epoch it was, and where the file goes.

Only a network that was trained as a whole has one: a linear head is solved, and a refinement ends with its last epoch.
It is the whole network as training left it, before its confidence was calibrated. It knows no runs and no services.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.engine.best_checkpoint import checkpoint_name, keep_best
from backend.engine.kept_weights import copy_of

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from backend.engine.judging import JudgedBy
    from backend.search.study import Study
    from backend.search.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class BestEpoch:
    """The epoch that was kept, and the validation score that chose it. Epoch 0: a solved head that none beat."""

    epoch: int
    score: float
    by: JudgedBy

    @property
    def filename(self) -> str:
        return checkpoint_name(epoch=self.epoch, score=self.score, by=self.by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A copy of the best epoch's weights, which stays as it is whatever is done to the network."""

    best: BestEpoch
    state: dict[str, torch.Tensor]

    def write(self, folder: Path) -> Path:
        """Write it into `folder`, in place of any other."""
        return keep_best(folder, self.state, epoch=self.best.epoch, score=self.best.score, by=self.best.by)


def best_epoch_of(study: Study, trial: Trial) -> BestEpoch | None:
    """Which epoch was kept; None where none was chosen."""
    if study.recipe.strategy != "finetune" or trial.strategy != "finetune" or trial.members:
        return None
    record = next((one for one in trial.history if one.epoch == trial.best_epoch), None)
    if record is None:
        return None
    if record.val_macro_f1 is not None:
        return BestEpoch(epoch=record.epoch, score=record.val_macro_f1, by="macro_f1")
    return BestEpoch(epoch=record.epoch, score=record.val_accuracy or 0.0, by="accuracy")


def kept_of(study: Study, trial: Trial) -> Kept | None:
    """A copy of what the best epoch left; None where none was chosen, or the network was let go."""
    best = best_epoch_of(study, trial)
    if best is None or trial.model is None:
        return None
    return Kept(best=best, state=copy_of(trial.model.network.module))


def keep_where_wanted(study: Study, trial: Trial) -> None:
    """Write a fine-tune's best epoch where this run wants one file a network, if it does."""
    folder = study.checkpoint_folder(trial.candidate.name)
    best = None if folder is None else kept_of(study, trial)
    if folder is not None and best is not None:
        best.write(folder)
