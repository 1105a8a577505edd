"""A trained model as a folder: `model.pth`, `model.json`, `reference.npz`. Written whole or not at all.

`model.pth` opens with `torch.load(path, weights_only=True)` and rebuilds with timm alone:

    ckpt = torch.load("model.pth", weights_only=True)
    net = timm.create_model(ckpt["timm_name"], num_classes=len(ckpt["class_names"]), **ckpt["model_args"])
    net.load_state_dict(ckpt["state_dict"])

`task` says what the scores are: softmax them for "multiclass", a sigmoid each for "multilabel", where a label is
present from its entry of `thresholds` on. `model_args` is empty for every network of the catalogue. Of several networks
that answer together these lines rebuild the leading one; all of them, with weights that add up to 1, stand under
`members` (`engine.members`). A network with attention names under `cbam` where it has it: put the modules of the
bundle's `predict.py` there before the last line (`engine.cbam.load_with_cbam`). It does not know where models are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from backend.config import Settings
from backend.contracts import ModelInfo, TestPredictions
from backend.engine.checkpoint import read_mapping
from backend.engine.members import Member, open_member, rebuild, require_fitting, spec_of, state_of
from backend.engine.model_folder import INFO_FILE, REFERENCE_FILE, WEIGHTS_FILE, load_info, require_file
from backend.engine.network import Network
from backend.engine.reference import Reference
from backend.errors import InputError
from backend.storage.answers import write_answers
from backend.storage.files import atomic_directory

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A saved model, opened: networks are in evaluation mode, with the weights that were saved.

    `network` is the leading one where several answer together; `reference` is of its features. `members` are all of
    them, the leading one first; empty for a single network.
    """

    info: ModelInfo
    network: Network
    reference: Reference | None
    members: tuple[Member, ...] = ()

    @property
    def voices(self) -> tuple[Member, ...]:
        """Everybody who has a say: the members, or the one network with all the weight."""
        if self.members:
            return self.members
        info = self.info
        return (Member(name=info.name, network=self.network, preprocessing=info.preprocessing, weight=1.0),)


def save_bundle(
    target: Path,
    network: Network,
    *,
    info: ModelInfo,
    reference: Reference | None,
    answers: TestPredictions | None = None,
    members: Sequence[Member] = (),
) -> None:
    """Write the folder `target`, which appears whole or not at all; `answers` are those to the test images.

    `members` are the networks of an ensemble, `network` the first of them.

    Raises:
        ConflictError: `target` exists already.
        ValueError: the network has another number of classes than `info` names, or the members are no ensemble of it.
    """
    if network.num_classes != len(info.class_names):
        raise ValueError(f"a network of {network.num_classes} classes, {len(info.class_names)} class names")
    if members:
        require_fitting(members, leader=network, preprocessing=info.preprocessing)
    with atomic_directory(target) as folder:
        torch.save(_checkpoint(network, info, members), folder / WEIGHTS_FILE)
        (folder / INFO_FILE).write_text(info.model_dump_json(indent=2), encoding="utf-8")
        if reference is not None:
            reference.save(folder / REFERENCE_FILE)
        if answers is not None:
            write_answers(folder, answers)


def _checkpoint(network: Network, info: ModelInfo, members: Sequence[Member]) -> dict[str, Any]:
    """Tensors and plain containers only, so that opening it runs no code."""
    parts = [member.as_mapping() for member in members]
    content = {
        "format_version": FORMAT_VERSION,
        # the same tensors as those of the first member: torch.save writes them once
        "state_dict": parts[0]["state_dict"] if parts else state_of(network),
        "timm_name": info.timm_name,
        "model_args": dict(network.model_args),
        "cbam": list(network.cbam),
        "class_names": list(info.class_names),
        "task": info.task,
        "thresholds": None if info.thresholds is None else list(info.thresholds),
        "preprocessing": info.preprocessing.model_dump(mode="json"),
        "input_size": network.input_size,
        "metrics": {"accuracy": info.accuracy, "macro_f1": info.macro_f1},
        "model_id": info.model_id,
        "name": info.name,
        "strategy": info.strategy,
        "weights": info.weights,
        "weights_source": info.weights_source,
        "dataset_digest": info.dataset_digest,
        "versions": dict(info.versions),
        "created_at": info.created_at,
    }
    return content | {"members": parts} if parts else content


def load_bundle(folder: Path, *, settings: Settings) -> Bundle:  # noqa: ARG001 - the seam; loading never needs a choice yet
    """Open a saved model. Never touches the network.

    Raises:
        NotFoundError: the folder or one of its files is not there.
        InputError: a file is damaged; the detail says which.
    """
    info = load_info(folder)
    path = require_file(folder, WEIGHTS_FILE)
    checkpoint = _read_checkpoint(path)
    origin = f"{folder.name}/{WEIGHTS_FILE}"
    members = tuple(open_member(part, info.class_names, origin=origin) for part in checkpoint.get("members", ()))
    network = members[0].network if members else _single(checkpoint, info, origin=origin)
    reference = folder / REFERENCE_FILE
    return Bundle(
        info=info,
        network=network,
        reference=Reference.load(reference) if reference.is_file() else None,
        members=members,
    )


def _single(checkpoint: dict[str, Any], info: ModelInfo, *, origin: str) -> Network:
    return Network(
        module=rebuild(checkpoint, len(checkpoint["class_names"]), origin=origin),
        spec=spec_of(info.name, info.timm_name),
        weights=info.weights,
        weights_source=info.weights_source,
        mean=info.preprocessing.mean,
        std=info.preprocessing.std,
        input_size=int(checkpoint["input_size"]),
        model_args=dict(checkpoint["model_args"]),
        cbam=tuple(checkpoint.get("cbam", ())),
        task=info.task,
    )


def _read_checkpoint(path: Path) -> dict[str, Any]:
    content = read_mapping(path)
    missing = {"state_dict", "timm_name", "class_names", "model_args", "input_size"} - content.keys()
    if missing:
        raise InputError(f"'{path.parent.name}/{path.name}' lacks {', '.join(sorted(missing))}. Train again.")
    return content
