"""A finished trial in the journal, and back: the same numbers to the last bit, its network where it left one.

What a trial can only do with its surroundings (`features_of`, `build`) is not written down; who took the turn adds it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from backend.contracts import Candidate, EpochRecord, FeatureUse
from backend.engine.kept_network import keep_network, kept_network
from backend.engine.probe import LinearHead
from backend.errors import InputError
from backend.search.trial import TrainedModel, Trial

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from backend.contracts.journal import Journal

log = logging.getLogger(__name__)

TRIAL, MODEL_FILE = "trial", "model.safetensors"
PLAIN = (
    "strategy",
    "status",
    "reason",
    "tried",
    "train_images",
    "best_epoch",
    "train_seconds",
    "predict_ms_per_image",
    "size_mb",
    "parameters",
    "trainable",
    "ran_on",
)
ARRAYS = ("held_out", "places", "test_probabilities", "fresh_distances")
HEAD_ARRAYS, HEAD_NUMBERS = ("weight", "bias", "out_of_fold"), ("regularisation", "cv_accuracy")
MODEL_ARRAYS = ("features", "places")


def note_trial(page: Journal, trial: Trial) -> None:
    """Write a trial down, its network first: a note says that all is there."""
    if page.folder is None:
        return
    if trial.model is not None:
        keep_network(page.folder / MODEL_FILE, trial.model.network, trial.model.preprocessing)
    facts: dict[str, Any] = {name: getattr(trial, name) for name in PLAIN}
    facts["candidate"] = trial.candidate.model_dump()
    facts["feature_use"] = None if trial.feature_use is None else trial.feature_use.model_dump()
    facts["history"] = [record.model_dump() for record in trial.history]
    arrays = _present(trial, ARRAYS)
    if trial.head is not None:
        facts["head"] = {name: float(getattr(trial.head, name)) for name in HEAD_NUMBERS} | {"task": trial.head.task}
        arrays |= _present(trial.head, HEAD_ARRAYS, prefix="head.")
    if trial.model is not None:
        arrays |= _present(trial.model, MODEL_ARRAYS, prefix="model.")
    page.note(TRIAL, facts, arrays)


def recalled_trial(page: Journal) -> Trial | None:
    """The trial that was noted on a page; None where there is none. A network that was let go stays away."""
    note = page.recall(TRIAL)
    if note is None or page.folder is None:
        return None
    facts, arrays = note.facts, note.arrays
    head = None
    if "head" in facts:
        solved: dict[str, Any] = {name: arrays[f"head.{name}"] for name in HEAD_ARRAYS}
        head = LinearHead(**solved, **facts["head"])
    try:
        model = _recalled_model(page.folder / MODEL_FILE, arrays)
    except InputError as error:
        log.warning("a finished trial is done again", extra={"reason": error.detail})
        return None
    plain: dict[str, Any] = {name: facts.get(name) for name in PLAIN}  # a note of before knows less
    plain |= {name: arrays.get(name) for name in ARRAYS}
    return Trial(
        **plain,
        candidate=Candidate.model_validate(facts["candidate"]),
        history=tuple(EpochRecord.model_validate(record) for record in facts["history"]),
        feature_use=None if facts.get("feature_use") is None else FeatureUse.model_validate(facts["feature_use"]),
        head=head,
        model=model,
    )


def let_model_go(page: Journal) -> None:
    """Remove the network of a trial that is no longer needed; its numbers stay."""
    if page.folder is not None:
        (page.folder / MODEL_FILE).unlink(missing_ok=True)


def _recalled_model(path: Path, arrays: Any) -> TrainedModel | None:
    try:
        network, preprocessing = kept_network(path)
    except FileNotFoundError:
        return None
    return TrainedModel(
        network=network,
        preprocessing=preprocessing,
        features=arrays.get("model.features"),
        places=arrays.get("model.places"),
    )


def _present(source: object, names: tuple[str, ...], *, prefix: str = "") -> dict[str, npt.NDArray[np.generic]]:
    found = {f"{prefix}{name}": getattr(source, name) for name in names}
    return {name: array for name, array in found.items() if array is not None}
