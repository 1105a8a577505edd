"""The networks of a bundle as plain values and tensors, and back. It knows no folders.

One entry under `members` of a `model.pth` holds what rebuilds one network with timm alone: `timm_name`, `model_args`,
`state_dict`, `preprocessing`, `input_size`; and its `name`, its `weight` among the members, and where its weights came
from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import timm
from pydantic import ValidationError
from torch import nn

from backend.contracts import EnsembleMember, Preprocessing
from backend.engine.arithmetic import choose_device, place
from backend.engine.cbam import load_with_cbam
from backend.engine.checkpoint import State
from backend.engine.models import ModelSpec, find_spec
from backend.engine.network import Network
from backend.errors import InputError, RecipeError

NEEDED = frozenset({"name", "timm_name", "model_args", "state_dict", "preprocessing", "input_size", "weight"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One network with a say in the answer. The weights of all members add up to 1."""

    name: str
    network: Network
    preprocessing: Preprocessing
    weight: float

    def as_mapping(self) -> dict[str, Any]:
        """Tensors and plain containers only."""
        network = self.network
        return {
            "name": self.name,
            "timm_name": network.spec.timm_name,
            "model_args": dict(network.model_args),
            "cbam": list(network.cbam),
            "state_dict": state_of(network),
            "preprocessing": self.preprocessing.model_dump(mode="json"),
            "input_size": network.input_size,
            "weight": self.weight,
            "weights": network.weights,
            "weights_source": network.weights_source,
            "task": network.task,
        }

    def described(self) -> EnsembleMember:
        """What people read about it."""
        return EnsembleMember(name=self.name, timm_name=self.network.spec.timm_name, weight=self.weight)


def require_fitting(members: Sequence[Member], *, leader: Network, preprocessing: Preprocessing) -> None:
    """Refuse members that are no ensemble.

    Raises:
        ValueError: they differ in classes, weights do not add up to 1, one network is there twice, or the first is
            not the leader with its preprocessing.
    """
    if members[0].network is not leader or members[0].preprocessing != preprocessing:
        raise ValueError("the first member is not the leading network")
    if len({id(member.network.module) for member in members}) < len(members):
        raise ValueError("one network is a member twice")
    if any(member.network.num_classes != leader.num_classes for member in members):
        raise ValueError(f"members of {[member.network.num_classes for member in members]} classes")
    weights = [member.weight for member in members]
    if min(weights) <= 0 or not math.isclose(sum(weights), 1.0, abs_tol=1e-6):
        raise ValueError(f"weights {weights} do not share out 1")


def open_member(part: Any, class_names: Sequence[str], *, origin: str) -> Member:
    """Build one member again.

    Raises:
        InputError: something is missing or does not fit.
    """
    missing = NEEDED - (part.keys() if isinstance(part, dict) else set())
    if missing:
        raise InputError(f"A member in '{origin}' lacks {', '.join(sorted(missing))}. Train again.")
    try:
        preprocessing = Preprocessing.model_validate(part["preprocessing"])
    except ValidationError as error:
        raise InputError(f"'{origin}' is damaged: {error}. Train again.") from error
    network = Network(
        module=rebuild(part, len(class_names), origin=origin),
        spec=spec_of(part["name"], part["timm_name"]),
        weights=part.get("weights", "scratch"),
        weights_source=part.get("weights_source"),
        mean=preprocessing.mean,
        std=preprocessing.std,
        input_size=int(part["input_size"]),
        model_args=dict(part["model_args"]),
        cbam=tuple(part.get("cbam", ())),
        task=part.get("task", "multiclass"),
    )
    return Member(name=part["name"], network=network, preprocessing=preprocessing, weight=float(part["weight"]))


def rebuild(part: dict[str, Any], num_classes: int, *, origin: str) -> nn.Module:
    """The module in evaluation mode, on the device that computes.

    Raises:
        InputError: the tensors do not fit the network.
    """
    module: nn.Module = timm.create_model(part["timm_name"], num_classes=num_classes, **part["model_args"])
    try:
        load_with_cbam(module, part.get("cbam", ()))
        module.load_state_dict(part["state_dict"])
    except (RuntimeError, AttributeError, RecipeError) as error:
        raise InputError(f"'{origin}' does not fit {part['timm_name']}: {error}") from error
    return place(module, choose_device()).eval()


def state_of(network: Network) -> State:
    """A network's tensors, each whole and on the CPU."""
    state = network.module.state_dict()
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def spec_of(name: str, timm_name: str) -> ModelSpec:
    """The catalogue's entry, or a bare one where the catalogue has changed since the model was saved.

    What follows a colon in a row's name, as in `efficientnet_lite0:refined`, says how the network was trained.
    """
    for candidate in (name, name.partition(":")[0]):
        with suppress(RecipeError):
            spec = find_spec(candidate)
            if spec.timm_name == timm_name:
                return spec
    return find_spec(f"timm:{timm_name}")
