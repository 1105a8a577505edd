"""A bundle as one ONNX graph: pictures uint8 [N, h, w, 3] in, probabilities float32 [N, C] out.

Resizing, normalising, the networks, softmax or sigmoid and an ensemble's average are inside; the number of pictures and
their size are free. It checks nothing: `parity` does.

The networks are recorded by torch's TorchScript exporter: 0.2 to 1.3 s for MobileNetV3, ResNet-18, EfficientNet-Lite0,
ViT-Tiny and ConvNeXt on two busy cores, where the one that rests on torch.export took 6.5 to 16.6 s for equal graphs.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose, helper
from torch import nn

from backend.contracts import Preprocessing, Task
from backend.engine.activation import activate
from backend.engine.bundle import Bundle
from backend.engine.members import Member
from backend.errors import ConflictError
from backend.inference.access import exclusive
from backend.inference.exporters.onnx_nodes import Nodes, prepare

OPSET = 18  # the first whose Resize knows antialias
IR_VERSION = 9  # ONNX Runtime 1.16 and later
INPUT, OUTPUT = "images", "probabilities"
PIXELS, SHARES = "pixels", "shares"
LARGEST_BYTES = 2_000_000_000  # protobuf's own limit for one file is 2 GiB


class _Recorded(nn.Module):
    """What the graph of one network computes, from prepared pictures uint8 [N, 3, H, W]."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, module: nn.Module, how: Preprocessing, task: Task) -> None:
        super().__init__()
        self.module = module
        self._task = task
        self.register_buffer("mean", torch.tensor(how.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(how.std).view(1, 3, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        scaled = pixels.to(torch.float32) / 255.0
        return activate(self.module((scaled - self.mean) / self.std), self._task).to(torch.float32)


def build_graph(bundle: Bundle) -> onnx.ModelProto:
    """The whole model, checked for being well-formed.

    Raises:
        ConflictError: a network cannot be expressed in ONNX, or is too large for one file.
    """
    graph = Nodes()
    shares = []
    for place, member in enumerate(bundle.voices):
        prefix = f"network_{place}/"
        part = compose.add_prefix(_recorded(member, bundle.info.task), prefix)
        own = Nodes(prefix)
        prepare(own, INPUT, member.preprocessing, named=prefix + PIXELS)
        graph.nodes += [*own.nodes, *part.graph.node]
        graph.initializers += [*own.initializers, *part.graph.initializer]
        weight = graph.constant(member.weight, np.float32)
        shares.append(graph.op("Mul", prefix + SHARES, weight) if len(bundle.voices) > 1 else prefix + SHARES)
    graph.op("Sum", *shares, named=OUTPUT)
    model = _model(graph, len(bundle.info.class_names), name=bundle.info.model_id)
    onnx.checker.check_model(model)
    return model


def _model(graph: Nodes, classes: int, *, name: str) -> onnx.ModelProto:
    images = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", "height", "width", 3])
    answers = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", classes])
    images.doc_string = "Upright RGB pictures of one size, 0..255, channels last."
    used = {name for node in graph.nodes for name in node.input}
    constants = [constant for constant in graph.initializers if constant.name in used]
    whole = helper.make_graph(graph.nodes, name, [images], [answers], constants)
    model = helper.make_model(
        whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="sightglass"
    )
    if model.ByteSize() > LARGEST_BYTES:
        raise ConflictError(
            f"'{name}' has {model.ByteSize() // 10**6} MB of weights, and one ONNX file holds 2,000 MB. "
            "Download the .pth, or train smaller networks."
        )
    return model


def _recorded(member: Member, task: Task) -> onnx.ModelProto:
    """One network with normalisation and activation; its constants are inside."""
    how, network = member.preprocessing, member.network
    example = torch.zeros((2, 3, how.height, how.width), dtype=torch.uint8, device=network.device)
    file = io.BytesIO()
    free = {PIXELS: {0: "batch"}, SHARES: {0: "batch"}}
    whole = _Recorded(network.module, how, task).to(network.device).eval()
    try:
        with exclusive(network.module), torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shapes that are fixed on purpose, and the exporter's age
            torch.onnx.export(
                whole,
                (example,),
                file,  # type: ignore[arg-type]  # only the newer exporter wants a path
                dynamo=False,
                opset_version=OPSET,
                input_names=[PIXELS],
                output_names=[SHARES],
                dynamic_axes=free,
            )
    except (RuntimeError, TypeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        reason = str(error).strip().split("\n", 1)[0][:200]
        raise ConflictError(
            f"'{member.name}' cannot be written as ONNX ({reason}). The .pth and the bundle hold it in full."
        ) from error
    return onnx.load_from_string(file.getvalue())
