"""A trained network on the disk for the time of a run, so that a run that was cut short need not train it again.

Not a model that is handed out: that is a bundle (`engine.bundle`). safetensors only, so that reading runs no code.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from backend.contracts import Preprocessing
from backend.engine.members import rebuild, spec_of, state_of
from backend.engine.network import Network
from backend.errors import InputError
from backend.storage.files import atomic_file

DESCRIPTION = "description"


def keep_network(path: Path, network: Network, preprocessing: Preprocessing) -> None:
    """Write a network with all that is needed to build it again."""
    described = {
        "name": network.spec.name,
        "timm_name": network.spec.timm_name,
        "model_args": network.model_args,
        "cbam": list(network.cbam),
        "weights": network.weights,
        "weights_source": network.weights_source,
        "mean": network.mean,
        "std": network.std,
        "input_size": network.input_size,
        "num_classes": network.num_classes,
        "task": network.task,
        "preprocessing": preprocessing.model_dump(mode="json"),
    }
    with atomic_file(path) as temporary:
        save_file(state_of(network), temporary, metadata={DESCRIPTION: json.dumps(described)})


def kept_network(path: Path) -> tuple[Network, Preprocessing]:
    """Read what `keep_network` wrote.

    Raises:
        FileNotFoundError: it was never written, or removed since.
        InputError: the file is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    try:
        with safe_open(path, framework="pt") as content:
            known = json.loads((content.metadata() or {})[DESCRIPTION])
            state = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - no mapping
        part = {"timm_name": known["timm_name"], "model_args": known["model_args"], "state_dict": state}
        part["cbam"] = known.get("cbam", ())
        network = Network(
            module=rebuild(part, known["num_classes"], origin=path.name),
            spec=spec_of(known["name"], known["timm_name"]),
            weights=known["weights"],
            weights_source=known["weights_source"],
            mean=tuple(known["mean"]),
            std=tuple(known["std"]),
            input_size=known["input_size"],
            model_args=known["model_args"],
            cbam=tuple(known.get("cbam", ())),
            task=known.get("task", "multiclass"),
        )
        return network, Preprocessing.model_validate(known["preprocessing"])
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise InputError(f"'{path.name}' is damaged: {error}") from error
