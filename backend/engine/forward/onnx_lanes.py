"""The forward pass in ONNX Runtime: normalisation inside the graph, any number of pictures a call, from any thread.

It is the faster one where OpenVINO is absent, or does not know the processor. The graph is exported by torch's tracer,
which takes 2 s for EfficientNet-Lite0.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import warnings
from typing import Any

import torch
from torch import nn

from backend.engine.forward.protocol import Features, Pixels

BATCH = 8
INPUT, OUTPUT = "images", "features"
OPSET = 17  # the oldest that has all that timm's networks use (LayerNormalization)


def onnxruntime_is_here() -> bool:
    """Whether the library is installed. Does not load it."""
    return importlib.util.find_spec("onnxruntime") is not None


class OnnxLanes:
    """Features by a session of ONNX Runtime with all threads; callers take turns inside it."""

    batch_size = BATCH
    lanes = 1

    def __init__(self, whole: nn.Module, example: torch.Tensor) -> None:
        library: Any = importlib.import_module("onnxruntime")
        options = library.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Threads that spin while they wait take the cores that decode the next pictures.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # what it could not optimise is nobody's concern
        self._session = library.InferenceSession(_exported(whole, example), options, providers=["CPUExecutionProvider"])
        self.kind = f"onnxruntime-{library.__version__}-fp32"

    def __call__(self, images: Pixels) -> Features:
        rows: Features = self._session.run([OUTPUT], {INPUT: images})[0]
        return rows


def _exported(whole: nn.Module, example: torch.Tensor) -> bytes:
    """The graph's bytes.

    Raises:
        RuntimeError and others: the exporter cannot express the network.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the tracer is being retired; the newer exporter takes five times as long
        torch.onnx.export(
            whole,
            (example,),
            buffer,  # type: ignore[arg-type]  # a path or a file, its text says
            dynamo=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "n"}, OUTPUT: {0: "n"}},
            opset_version=OPSET,
        )
    return buffer.getvalue()
