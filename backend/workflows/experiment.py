"""A run's folder: the configuration it was trained by, its results, its model, the best epoch's weights.

    runs/strips-20260102-101500/
        config.yaml        every choice; `sightglass train <data> --config` repeats the run
        results.json       scores, history, loss, best epoch, parameters, environment
        model_final.pt     the same bytes as models/<id>/model.pth
        checkpoints/       best_model_epoch{N}_f1_{x}.pt of the winner; others in a folder of their network's name

The winner's weights and its best epoch lie in the model's folder, and here under a second name.
It knows nothing of how a network is trained.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from backend.contracts import Recipe, Results
from backend.engine.model_folder import BEST, CHECKPOINTS, WEIGHTS_FILE, best_checkpoint
from backend.storage.files import atomic_file, atomic_write
from backend.workflows.configure import CONFIG_FILE, write_config

RESULTS_FILE = "results.json"
FINAL_FILE = "model_final.pt"


def open_experiment(out: Path, recipe: Recipe) -> Path:
    """Write what is going to be trained, and return where checkpoints belong, without those of an earlier run."""
    out.mkdir(parents=True, exist_ok=True)
    write_config(recipe, out / CONFIG_FILE)
    checkpoints = out / CHECKPOINTS
    for stale in checkpoints.glob(f"**/{BEST}"):
        stale.unlink()
    return checkpoints


def close_experiment(out: Path, results: Results, model_folder: Path) -> None:
    """Write the results, and put the winner's files where a person looks for them."""
    atomic_write(out / RESULTS_FILE, results.model_dump_json(indent=2))
    weights = model_folder / WEIGHTS_FILE
    if weights.is_file():
        with atomic_file(out / FINAL_FILE) as temporary:
            _link(weights, temporary)
    _raise_winner(out / CHECKPOINTS, results, best_checkpoint(model_folder))


def _link(source: Path, target: Path) -> None:
    """A second name of the same bytes; a copy where the file system has no such thing."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _raise_winner(checkpoints: Path, results: Results, best: Path | None) -> None:
    """The winner's best epoch lies in `checkpoints` itself, and no longer among those of all networks.

    A linear head on frozen features and a refinement have none; networks that answer together stay side by side.
    """
    from backend.search.study import plain_name

    if best is None:
        return
    checkpoints.mkdir(parents=True, exist_ok=True)
    with atomic_file(checkpoints / best.name) as temporary:
        _link(best, temporary)
    own = checkpoints / plain_name(results.best_model.name)
    for file in own.glob(BEST):
        file.unlink()
    with suppress(OSError):  # it is not there, or holds what is not ours
        own.rmdir()
