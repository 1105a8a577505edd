"""Ways to compute a network that answers, behind one door: prepared pictures in, the features that its head reads out.

The catalogue of their names, and how each is made. It does not choose between them (`choosing.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch

from backend.engine.forward import openvino_library as library
from backend.engine.forward.onnx_lanes import OnnxLanes, onnxruntime_is_here
from backend.engine.forward.openvino_forward import graph_of, whole_of
from backend.engine.forward.openvino_lanes import OpenVinoLanes
from backend.engine.forward.protocol import Features, Pixels
from backend.engine.forward.torch_forward import Arithmetic, TorchForward, fast_arithmetic
from backend.engine.members import Member
from backend.inference.access import exclusive

TORCH = "torch"
EXACT = frozenset({TORCH, "torch-compile", "onnxruntime", "openvino"})  # float32 throughout


class ServingForward(Protocol):
    """A network's backbone, ready to compute; as many threads as `lanes` may call at once."""

    @property
    def kind(self) -> str:
        """Library, version, arithmetic: `openvino-2026.4.1-bf16`."""

    @property
    def lanes(self) -> int: ...

    @property
    def batch_size(self) -> int:
        """How many pictures a call computes fastest."""

    def __call__(self, images: Pixels) -> Features:
        """Features [N, D] of pictures uint8 [N, H, W, 3]."""


class TorchLane:
    """torch itself; one caller at a time, for one operation uses all threads, and a heat map may listen inside."""

    lanes = 1

    def __init__(self, member: Member, *, arithmetic: Arithmetic, compiled: bool = False) -> None:
        self._module = member.network.module
        self._forward = TorchForward(member.network, member.preprocessing, arithmetic=arithmetic, compiled=compiled)
        self.kind = self._forward.kind
        self.batch_size = self._forward.batch_size

    def __call__(self, images: Pixels) -> Features:
        with exclusive(self._module):
            return self._forward(images)


@dataclass(frozen=True, slots=True)
class Material:
    """What a backend is made of. `graph`: the network in OpenVINO's words, kept from an earlier start."""

    member: Member
    graph: Any = None


def make(name: str, material: Material) -> ServingForward:
    """Build a backend of `BACKENDS`.

    Raises:
        KeyError: there is none of that name.
        choice.CANNOT: it cannot express the network, or its library is absent.
    """
    return BACKENDS[name](material)


def graph_for(member: Member) -> Any:
    """A network as OpenVINO's graph, to be kept."""
    with exclusive(member.network.module):  # recording listens inside the module
        return graph_of(member.network, member.preprocessing)


def _openvino(arithmetic: Arithmetic | Literal["mixed"]) -> Callable[[Material], ServingForward]:
    def build(material: Material) -> ServingForward:
        graph = material.graph if material.graph is not None else graph_for(material.member)
        return OpenVinoLanes(graph.clone(), arithmetic=arithmetic)

    return build


def _torch(arithmetic: Arithmetic, *, compiled: bool = False) -> Callable[[Material], ServingForward]:
    return lambda material: TorchLane(material.member, arithmetic=arithmetic, compiled=compiled)


def _onnxruntime(material: Material) -> ServingForward:
    member = material.member
    fed = member.preprocessing
    with exclusive(member.network.module):
        whole = whole_of(member.network, fed)
        return OnnxLanes(whole, torch.zeros((1, fed.height, fed.width, 3), dtype=torch.uint8))


BACKENDS: dict[str, Callable[[Material], ServingForward]] = {
    TORCH: _torch("fp32"),
    "torch-bf16": _torch("bf16"),
    "torch-compile": _torch("fp32", compiled=True),
    "onnxruntime": _onnxruntime,
    "openvino": _openvino("fp32"),
    "openvino-mixed": _openvino("mixed"),
    "openvino-bf16": _openvino("bf16"),
}


def candidates(member: Member) -> tuple[str, ...]:
    """What is worth measuring for a network on this machine, the likeliest winner first.

    ONNX Runtime and OpenVINO in float32 are about as fast here (13.0 and 13.2 ms of one busy core a picture of
    EfficientNet-Lite0, 10 on a free one); which is faster depends on the processor. `torch.compile` takes half a minute
    and more of compiling where these take a second: only by name.
    """
    if member.network.device.type != "cpu":
        return (TORCH,)
    fast = fast_arithmetic("cpu") == "bf16"
    if library.openvino_version() is not None:
        names = ["openvino-bf16", "openvino-mixed", "openvino"] if fast else ["openvino"]
    else:
        names = ["torch-bf16"] if fast else []
    return (*names, *(["onnxruntime"] if onnxruntime_is_here() else []), TORCH)
