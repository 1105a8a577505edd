"""The forward pass in OpenVINO for pictures that come when they like: any number a call, several calls side by side.

Where training's features take fixed batches through a queue, here each lane is one stream with threads of its own, and
a lone picture is computed alone: 6.1 ms of one core in bfloat16 (EfficientNet-Lite0, 224 px), 5.6 a picture for four
together, 5.2 in a graph that takes four and nothing else.

`mixed` computes the network's front in float32 and the rest in bfloat16, one graph after the other (`graph_cut.py`).
"""

from __future__ import annotations

import queue
from typing import Any, Literal

import numpy as np
import torch

from backend.engine.forward import openvino_library as library
from backend.engine.forward.graph_cut import cut_in_two
from backend.engine.forward.openvino_forward import openvino_kind
from backend.engine.forward.protocol import Features, Pixels
from backend.engine.forward.torch_forward import Arithmetic

# More a call gain nothing: a stream's cache holds the activations of a few pictures at a time.
BATCH = 8


class OpenVinoLanes:
    """Features by a compiled graph; as many threads as `lanes` may call at once, others wait."""

    batch_size = BATCH

    def __init__(self, graph: Any, *, arithmetic: Arithmetic | Literal["mixed"]) -> None:
        shape = graph.inputs[0].get_partial_shape()
        graph.reshape([-1, shape[1], shape[2], shape[3]])
        threads = torch.get_num_threads()
        parts: list[tuple[Any, Arithmetic]]
        if arithmetic == "mixed":
            front, rest = cut_in_two(graph)
            parts = [(front, "fp32"), (rest, "bf16")]
        else:
            parts = [(graph, arithmetic)]
        compiled = [
            library.compile_graph(part, arithmetic=width, threads=threads, hint="THROUGHPUT") for part, width in parts
        ]
        rows = compiled[-1].output(0).partial_shape
        if len(rows) != 2:
            raise ValueError(f"the graph gives {rows}, not one row a picture")
        self.kind = openvino_kind(arithmetic)
        requests = min(int(part.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")) for part in compiled)
        self.lanes = max(1, min(threads, requests))
        self._free: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        for _ in range(self.lanes):
            self._free.put([part.create_infer_request() for part in compiled])

    def __call__(self, images: Pixels) -> Features:
        requests = self._free.get()
        try:
            pieces = [self._rows(requests, images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        finally:
            self._free.put(requests)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _rows(self, requests: list[Any], images: Pixels) -> Features:
        passed: Any = np.ascontiguousarray(images)
        for request in requests:
            request.infer([passed], share_inputs=True)
            passed = request.get_output_tensor(0)
        # A copy: the request's own memory is overwritten by the next pass.
        return np.array(passed.data, dtype=np.float32)
