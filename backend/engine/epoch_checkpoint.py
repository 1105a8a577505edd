"""Where a fine-tune stands after an epoch, on the disk: going on from there gives what going on at once would give.

Weights, their moving average, optimiser, rates, random states, the best so far, the head that was solved. One file,
which is replaced as a whole; safetensors, so that reading runs no code. It does not know when an epoch ends.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from backend.contracts import EpochRecord
from backend.contracts.journal import Journal
from backend.storage.files import atomic_file, is_disk_full

log = logging.getLogger(__name__)

Tensors = dict[str, torch.Tensor]

FILE = "epoch.safetensors"
FACTS = "facts"
# Of the training's time, for writing. EfficientNet-Lite0's file has 55 MB and takes 0.1 to 0.3 s with its flush, an
# epoch on a hundred cached activations 0.3 s; ViT-Base's has 1.4 GB, and its epochs take minutes.
COST_SHARE = 0.05
FIRST_S = 0.15  # what writing is thought to take before it was done once


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a fine-tune stands.

    Attributes:
        batch_size: less than was asked for, where that did not fit into the memory.
        phase, epochs_done: the phase that runs, and how many of its epochs are done.
        history, by_epoch: records and validation answers of all epochs so far.
        facts: numbers that belong to the groups.
        tensors: groups of tensors by name: module, average, best, solved, optimiser, random.
    """

    batch_size: int
    phase: int
    epochs_done: int
    history: tuple[EpochRecord, ...]
    by_epoch: tuple[npt.NDArray[np.float64], ...]
    facts: Mapping[str, Any]
    tensors: Mapping[str, Tensors] = field(default_factory=dict)


class EpochCheckpoints:
    """The checkpoint of one fine-tune, on its page of the journal. `identity` says what is trained, and how."""

    def __init__(self, journal: Journal, *, identity: str) -> None:
        self._path: Path | None = None if journal.folder is None else journal.folder / FILE
        self._identity = identity
        self._written_at, self._cost_s = time.monotonic(), FIRST_S

    @property
    def due(self) -> bool:
        """Whether writing one now is worth its time."""
        waited = time.monotonic() - self._written_at
        return self._path is not None and self._cost_s <= waited * COST_SHARE

    def read(self) -> Standing | None:
        """What an earlier attempt has left; None where there is nothing, or nothing of use."""
        if self._path is None or not self._path.is_file():
            return None
        try:
            with safe_open(self._path, framework="pt") as content:
                facts = json.loads((content.metadata() or {})[FACTS])
                flat = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - no mapping
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            log.warning("damaged checkpoint is left aside", extra={"error": str(error)})
            return None
        if facts["identity"] != self._identity:
            log.warning("checkpoint of another fine-tune is left aside")
            return None
        return _standing(facts, flat)

    def write(self, standing: Standing) -> None:
        """Replace the file. A full disk is no reason to end a training that may yet succeed."""
        if self._path is None:
            return
        started = time.monotonic()
        facts = {
            "identity": self._identity,
            "batch_size": standing.batch_size,
            "phase": standing.phase,
            "epochs_done": standing.epochs_done,
            "history": [record.model_dump() for record in standing.history],
            "facts": dict(standing.facts),
        }
        try:
            with atomic_file(self._path) as temporary:
                save_file(_flat(standing), temporary, metadata={FACTS: json.dumps(facts)})
        except (OSError, SafetensorError) as error:
            if not is_disk_full(error):
                raise
            log.warning("no room for a checkpoint; the training goes on without", extra={"error": str(error)})
        self._written_at = time.monotonic()
        self._cost_s = self._written_at - started


def _flat(standing: Standing) -> Tensors:
    flat = {f"answers/{place}": torch.from_numpy(rows) for place, rows in enumerate(standing.by_epoch)}
    for group, tensors in standing.tensors.items():
        # copies: safetensors refuses tensors that share memory
        flat |= {f"{group}/{name}": tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    return flat


def _standing(facts: dict[str, Any], flat: Tensors) -> Standing:
    groups: dict[str, Tensors] = {}
    for name, tensor in flat.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = tensor
    answers = groups.pop("answers", {})
    return Standing(
        batch_size=facts["batch_size"],
        phase=facts["phase"],
        epochs_done=facts["epochs_done"],
        history=tuple(EpochRecord.model_validate(record) for record in facts["history"]),
        by_epoch=tuple(answers[str(place)].numpy() for place in range(len(answers))),
        facts=facts["facts"],
        tensors=groups,
    )


def optimiser_state(optimiser: torch.optim.Optimizer) -> tuple[Tensors, list[float]]:
    """The moments of every weight that has been stepped, by its place in the groups, and the groups' rates."""
    tensors = {
        f"{place}/{name}": value
        for place, weight in enumerate(_weights(optimiser))
        for name, value in optimiser.state.get(weight, {}).items()
    }
    return tensors, [group["lr"] for group in optimiser.param_groups]


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Tensors, rates: list[float]) -> None:
    """Give a fresh optimiser of the same weights what `optimiser_state` took."""
    weights = _weights(optimiser)
    for key, value in tensors.items():
        place, _, name = key.partition("/")
        weight = weights[int(place)]
        # laid out as the weight is: the fused step reads both as plain memory
        same = value.shape == weight.shape
        kept = torch.empty_like(weight).copy_(value) if same else value.to(weight.device, copy=True)
        optimiser.state[weight][name] = kept.detach()
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate


def _weights(optimiser: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [weight for group in optimiser.param_groups for weight in group["params"]]


def random_state(device: torch.device) -> Tensors:
    """Torch's global random states, of the CPU and of the device that trains."""
    found = {"cpu": torch.get_rng_state()}
    return found | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def restore_random_state(device: torch.device, tensors: Tensors) -> None:
    torch.set_rng_state(tensors["cpu"])
    if device.type == "cuda" and "cuda" in tensors:
        torch.cuda.set_rng_state(tensors["cuda"], device)
