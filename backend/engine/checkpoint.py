"""Files of weights: reading them without running code from them, and fitting them into a timm network.

It does not know where a file came from. Nothing is unpickled but tensors and plain containers.
"""

from __future__ import annotations

import pickle
import struct
import sys
from functools import cache
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from backend.errors import InputError

State = dict[str, torch.Tensor]

NESTED_UNDER = ("state_dict", "model_state_dict", "model", "state_dict_ema", "model_ema")
# What torch's and safetensors' readers were seen to raise on 11,000 damaged files, and what the disk may.
READ_ERRORS = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    EOFError,
    OSError,
    struct.error,
    pickle.UnpicklingError,
    SafetensorError,
)
SHOWN = 3  # names that an error lists


def read_state(path: Path) -> State:
    """Read a file of weights, onto the CPU.

    Raises:
        InputError: it cannot be read, holds something else, or holds more than tensors.
    """
    state = _state_of(read_mapping(path))
    if not state:
        raise InputError(f"'{path.name}' holds no state_dict; save the network's state_dict with torch.save.")
    return state


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a safetensors or torch file as a dictionary of tensors and plain containers, onto the CPU.

    Raises:
        InputError: it cannot be read so.
    """
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _torch_load(path)
    except READ_ERRORS as error:
        raise InputError(
            f"'{path.name}' cannot be read as weights: {_reason(error)} Save the network's state_dict with torch.save "
            "or safetensors."
        ) from error
    return content if isinstance(content, dict) else {}


def _reason(error: Exception) -> str:
    """Why, in words. torch's own for a pickle that is not let in tell how to let it in, which nobody should."""
    if isinstance(error, pickle.UnpicklingError):
        return "it holds Python objects that are no tensors, which could run code, or it is damaged. Nothing was run."
    if isinstance(error, LookupError | AttributeError | AssertionError | EOFError):  # a key or a place, if any text
        return "it is damaged, or something else than weights."
    return (str(error).splitlines() or [type(error).__name__])[0]


def _torch_load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _state_of(content: dict[str, Any]) -> State:
    """The map of tensors in a file's content, whether bare or under one of the usual keys."""
    nested = next((content[key] for key in NESTED_UNDER if isinstance(content.get(key), dict)), content)
    tensors = {str(key): value for key, value in nested.items() if isinstance(value, torch.Tensor)}
    return {key.removeprefix("module."): value for key, value in tensors.items()}


@cache  # 50 ms, a quarter of what making a network with bundled weights takes
def tensor_names(timm_name: str) -> tuple[str, ...]:
    """Names of a network's tensors in order; built without memory for the weights."""
    with torch.device("meta"):
        return tuple(timm.create_model(timm_name).state_dict())


def classifier_prefix(module: nn.Module) -> str:
    """Place of timm's classifier in the network, such as `fc` or `head.fc`."""
    classifier = module.get_classifier()  # type: ignore[operator]
    return str(next(name for name, part in module.named_modules() if part is classifier))


def fit_state(module: nn.Module, state: State, *, origin: str) -> None:
    """Load weights into a network. A head for another number of classes is left out; all else must match.

    Raises:
        InputError: tensors are missing, left over or of another shape; the detail names the first few.
    """
    head = f"{classifier_prefix(module)}."
    own = module.state_dict()
    if _misfits(own, state, head=head):
        state = _in_timm_layout(module, state)
    if misfits := _misfits(own, state, head=head):
        raise InputError(f"The weights for {origin} do not fit the network: {'; '.join(misfits)}.")
    fitting = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    module.load_state_dict(fitting, strict=False)


def _misfits(own: State, state: State, *, head: str) -> list[str]:
    # BatchNorm's step counters steer nothing here and are absent from old files
    needed = {name for name in own if not name.startswith(head) and not name.endswith("num_batches_tracked")}
    missing = sorted(needed - state.keys())
    surplus = sorted(name for name in state.keys() - own.keys() if not name.startswith(head))
    misshapen = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in sorted(needed & state.keys())
        if state[name].shape != own[name].shape
    ]
    findings = {"missing": missing, "unexpected": surplus, "of another shape": misshapen}
    return [f"{len(names)} {noun} ({_first(names)})" for noun, names in findings.items() if names]


def _first(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _in_timm_layout(module: nn.Module, state: State) -> State:
    """Translate an original release's names and sizes by timm's own rule for the family, where it has one."""
    translate = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
    if translate is None:
        return state
    try:
        translated: State = translate(dict(state), module)
    except (KeyError, IndexError, RuntimeError, AttributeError, AssertionError, ValueError):
        return state  # made for another layout; the check that follows names what does not fit
    return translated
