"""Which way a frozen forward pass is computed: the fastest known one that agrees with plain float32 on the pictures.

The order is fixed per machine and not timed anew in each run, so that the same seed gives the same result. Whoever
disagrees, or cannot express the network, makes way for the next, and the log says why.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from backend.contracts import Preprocessing
from backend.engine.arithmetic import choose_device
from backend.engine.forward import openvino_library as library
from backend.engine.forward.openvino_forward import OpenVinoForward, graph_of, openvino_kind
from backend.engine.forward.protocol import Features, FrozenForward, Pixels
from backend.engine.forward.torch_forward import COMPILED, Arithmetic, TorchForward, fast_arithmetic, torch_kind
from backend.engine.models import ModelSpec
from backend.engine.network import Network
from backend.errors import ConflictError
from backend.storage.cache_space import mark_used
from backend.storage.files import atomic_directory

log = logging.getLogger(__name__)

FOLDER = "forward"
EXACT: Arithmetic = "fp32"
# Pictures from which on a conversion repays itself: recording, compiling and comparing take 0.7 s (ResNet-18) to 1.4 s
# (EfficientNet-Lite0), 3 s for ViT-Base. EfficientNet-B0 gains the most: torch takes 20 ms an image in either
# arithmetic, OpenVINO 4.5; ViT-Base 120-200 in torch, 95 in OpenVINO.
WORTH_CONVERTING = 300
WORTH_CONVERTING_FAMILY = {"efficientnet": 80, "vit": 100}
# torch.compile takes half a minute to minutes, and a GPU computes thousands of images a second without it.
WORTH_COMPILING = 200_000
LARGEST_KEPT = 120 * 10**6  # bytes of weights: above, a pass takes so long that conversion does not show
COMPARED = 4  # pictures; float32 of ViT-Base takes 0.2 s for each
# Mean distance from float32's features, in units of how far pictures lie from their mean. Seen with bfloat16: 0.01-0.10
# (EfficientNet-Lite0 the most), the same in torch and OpenVINO, and with no loss of accuracy. Rubbish is above 1.
MOST_APART = 0.25
# What a library may raise over a network that it cannot express; running out of memory is not among it.
CANNOT = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, kw_only=True)
class ForwardRequest:
    """What is to be computed. `network` builds it, where it is needed at all.

    `identity` names architecture and weights and nothing else; a converted network is kept under it in `cache_dir`.
    """

    network: Callable[[], Network]
    preprocessing: Preprocessing
    identity: str
    cache_dir: Path


def planned_kind(spec: ModelSpec, count: int) -> str:
    """The kind of forward pass that a network gets for about `count` pictures here, unless it disagrees or fails."""
    device = choose_device().type
    least = WORTH_CONVERTING_FAMILY.get(spec.family, WORTH_CONVERTING)
    if device == "cpu" and count >= least and library.openvino_version() is not None:
        return openvino_kind(fast_arithmetic(device))
    return torch_kind(fast_arithmetic(device), device, compiled=device == "cuda" and count >= WORTH_COMPILING)


def build_forward(request: ForwardRequest, kind: str, sample: Pixels) -> FrozenForward:
    """The way of a kind that `planned_kind` named or an earlier forward had, or the first after it that agrees.

    It is compared with float32 on some pictures [N, H, W, 3]; `COMPARED` are enough, but not all alike.
    """
    wanted = _arithmetic_of(kind)
    if kind.startswith("openvino"):
        for arithmetic in dict.fromkeys((wanted, EXACT)):
            forward = _openvino(request, arithmetic, sample)
            if forward is not None:
                return forward
        wanted = fast_arithmetic(choose_device().type)
    exact = TorchForward(request.network(), request.preprocessing, arithmetic=EXACT)
    if wanted == EXACT:
        return exact
    rows = exact(sample)
    for compiled in dict.fromkeys((kind.endswith(COMPILED), False)):
        forward = _torch(request, wanted, compiled=compiled)
        if forward is not None and _agrees(forward, rows, sample):
            return forward
    return exact


def _arithmetic_of(kind: str) -> Arithmetic:
    name = kind.removesuffix(COMPILED).rpartition("-")[2]
    return "bf16" if name == "bf16" else "fp16" if name == "fp16" else EXACT


def _torch(request: ForwardRequest, arithmetic: Arithmetic, *, compiled: bool) -> FrozenForward | None:
    forward = TorchForward(request.network(), request.preprocessing, arithmetic=arithmetic, compiled=compiled)
    if compiled:
        fed = request.preprocessing
        try:
            forward(np.zeros((1, fed.height, fed.width, 3), np.uint8))
        except CANNOT as error:
            log.warning("network not compiled", extra={"identity": request.identity, "reason": _first_line(error)})
            return None
    return forward


def _openvino(request: ForwardRequest, arithmetic: Arithmetic, sample: Pixels) -> FrozenForward | None:
    folder = _folder(request, openvino_kind(arithmetic))
    try:
        kept = _read(folder)
        if kept is not None:  # it agreed when it was kept
            return _warm(OpenVinoForward(kept, arithmetic=arithmetic), sample)
        network = request.network()
        graph = graph_of(network, request.preprocessing)
        forward = OpenVinoForward(graph.clone(), arithmetic=arithmetic)
    except CANNOT as error:
        log.warning("network not converted", extra={"identity": request.identity, "reason": _first_line(error)})
        return None
    exact = TorchForward(network, request.preprocessing, arithmetic=EXACT)
    if not _agrees(forward, exact(sample), sample):
        return None
    _keep(graph, network, folder)
    return forward


def _agrees(forward: FrozenForward, exact: Features, sample: Pixels) -> bool:
    distance = apart(forward(sample), exact)
    if distance <= MOST_APART:  # false for NaN too
        return True
    log.warning("forward pass disagrees with float32", extra={"kind": forward.kind, "distance": distance})
    return False


def apart(rows: Features, exact: Features) -> float:
    """Mean distance of rows [N, D] from the exact ones, in units of how far those lie from their mean."""
    spread = np.linalg.norm(exact - exact.mean(axis=0), axis=1).mean()
    if spread < 1e-6 * np.linalg.norm(exact, axis=1).mean():  # one picture, or all alike: its own length then
        spread = np.linalg.norm(exact, axis=1).mean()
    distance = float(np.linalg.norm(rows - exact, axis=1).mean())
    return distance / float(spread) if spread > 0 else distance


def _warm(forward: FrozenForward, sample: Pixels) -> FrozenForward:
    forward(sample)  # the first pass sets buffers up; timing begins after it
    return forward


def _folder(request: ForwardRequest, kind: str) -> Path:
    fed = request.preprocessing
    name = repr((request.identity, kind, fed.height, fed.width, fed.mean, fed.std))
    return request.cache_dir / FOLDER / sha256(name.encode()).hexdigest()[:32]


def _read(folder: Path) -> Any:
    if not folder.is_dir():
        return None
    mark_used(folder)
    try:
        return library.read(folder)
    except RuntimeError as error:
        log.warning("damaged network dropped", extra={"folder": folder.name, "reason": _first_line(error)})
        shutil.rmtree(folder, ignore_errors=True)
        return None


def _keep(graph: Any, network: Network, folder: Path) -> None:
    size = sum(tensor.numel() * tensor.element_size() for tensor in network.module.state_dict().values())
    if size > LARGEST_KEPT:
        return
    try:
        with atomic_directory(folder) as temporary:
            library.save(graph, temporary)
    except ConflictError:  # another process was first, with the same
        return
    except OSError as error:  # a full disk: the next process converts again
        log.warning("network not kept", extra={"reason": str(error)})


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:300] or type(error).__name__
