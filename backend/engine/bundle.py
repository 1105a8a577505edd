"""A trained model as a folder: `model.pth`, `model.json`, `reference.npz`. Written whole or not at all.

`model.pth` opens with `torch.load(path, weights_only=True)` and rebuilds with timm alone:

    ckpt = torch.load("model.pth", weights_only=True)
    net = timm.create_model(ckpt["timm_name"], num_classes=len(ckpt["class_names"]), **ckpt["model_args"])
    net.load_state_dict(ckpt["state_dict"])

`model_args` is empty for every network of the catalogue. It does not know where models are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch

from backend.config import Settings
from backend.contracts import ModelInfo, TestPredictions
from backend.engine.arithmetic import choose_device, place
from backend.engine.checkpoint import read_mapping
from backend.engine.model_folder import INFO_FILE, REFERENCE_FILE, WEIGHTS_FILE, load_info, require_file
from backend.engine.models import ModelSpec, find_spec
from backend.engine.network import Network
from backend.engine.reference import Reference
from backend.errors import InputError, RecipeError
from backend.storage.answers import write_answers
from backend.storage.files import atomic_directory

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A saved model, opened: the network is in evaluation mode, with the weights that were saved."""

    info: ModelInfo
    network: Network
    reference: Reference | None


def save_bundle(
    target: Path,
    network: Network,
    *,
    info: ModelInfo,
    reference: Reference | None,
    answers: TestPredictions | None = None,
) -> None:
    """Write the folder `target`, which appears whole or not at all; `answers` are those to the test images.

    Raises:
        ConflictError: `target` exists already.
        ValueError: the network has another number of classes than `info` names.
    """
    if network.num_classes != len(info.class_names):
        raise ValueError(f"a network of {network.num_classes} classes, {len(info.class_names)} class names")
    with atomic_directory(target) as folder:
        torch.save(_checkpoint(network, info), folder / WEIGHTS_FILE)
        (folder / INFO_FILE).write_text(info.model_dump_json(indent=2), encoding="utf-8")
        if reference is not None:
            reference.save(folder / REFERENCE_FILE)
        if answers is not None:
            write_answers(folder, answers)


def _checkpoint(network: Network, info: ModelInfo) -> dict[str, Any]:
    """Tensors and plain containers only, so that opening it runs no code."""
    state = network.module.state_dict()
    return {
        "format_version": FORMAT_VERSION,
        "state_dict": {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()},
        "timm_name": info.timm_name,
        "model_args": dict(network.model_args),
        "class_names": list(info.class_names),
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


def load_bundle(folder: Path, *, settings: Settings) -> Bundle:  # noqa: ARG001 - the seam; loading never needs a choice yet
    """Open a saved model. Never touches the network.

    Raises:
        NotFoundError: the folder or one of its files is not there.
        InputError: a file is damaged; the detail says which.
    """
    info = load_info(folder)
    checkpoint = _read_checkpoint(require_file(folder, WEIGHTS_FILE))
    module = timm.create_model(
        checkpoint["timm_name"], num_classes=len(checkpoint["class_names"]), **checkpoint["model_args"]
    )
    try:
        module.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise InputError(f"'{folder.name}/{WEIGHTS_FILE}' does not fit {checkpoint['timm_name']}: {error}") from error
    network = Network(
        module=place(module, choose_device()).eval(),
        spec=_spec_of(info),
        weights=info.weights,
        weights_source=info.weights_source,
        mean=info.preprocessing.mean,
        std=info.preprocessing.std,
        input_size=int(checkpoint["input_size"]),
        model_args=dict(checkpoint["model_args"]),
    )
    reference = folder / REFERENCE_FILE
    return Bundle(info=info, network=network, reference=Reference.load(reference) if reference.is_file() else None)


def _read_checkpoint(path: Path) -> dict[str, Any]:
    content = read_mapping(path)
    missing = {"state_dict", "timm_name", "class_names", "model_args", "input_size"} - content.keys()
    if missing:
        raise InputError(f"'{path.parent.name}/{path.name}' lacks {', '.join(sorted(missing))}. Train again.")
    return content


def _spec_of(info: ModelInfo) -> ModelSpec:
    """The catalogue's entry, or a bare one where the catalogue has changed since the model was saved."""
    try:
        spec = find_spec(info.name)
    except RecipeError:
        spec = None
    if spec is not None and spec.timm_name == info.timm_name:
        return spec
    return find_spec(f"timm:{info.timm_name}")
