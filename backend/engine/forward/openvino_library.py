"""OpenVINO, loaded without its telemetry: a torch module as its graph, kept as a file, compiled for this processor.

`import openvino` reports each use to Google Analytics from its conversion tools, and writes an identifier into the home
folder; those tools are therefore never loaded, and the reader of TorchScript is called directly. The package may be
absent, then everything is computed by torch. It knows neither pictures nor features.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

TOOLS = "openvino.tools.ovc"
DEVICE = "CPU"
FILE = "model.xml"


@cache
def openvino_version() -> str | None:
    """The installed version, or None. Does not load the library."""
    try:
        return version("openvino") if importlib.util.find_spec("openvino") is not None else None
    except PackageNotFoundError:
        return None


@cache
def load_openvino() -> Any:
    """The library. A script that wants its conversion tools too can import them itself afterwards.

    Raises:
        ImportError: it is not installed, or does not work here.
    """
    absent = object()
    before = sys.modules.get(TOOLS, absent)
    if before is absent:
        sys.modules[TOOLS] = None  # type: ignore[assignment]  # importing it fails, which openvino expects
    try:
        return importlib.import_module("openvino")
    finally:
        if before is absent:
            del sys.modules[TOOLS]


@cache
def _core() -> Any:
    return load_openvino().Core()


def convert(module: nn.Module, example: torch.Tensor) -> Any:
    """A module as a graph of OpenVINO, with weights of its own. Only the path that the example takes is recorded.

    Raises:
        RuntimeError and others: the module does something that cannot be recorded or has no counterpart.
    """
    load_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # TorchScript is being retired, and branches on shapes are noted: both known
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
        frontend = FrontEndManager().load_by_framework("pytorch")
        # The decoder must outlive the conversion. Weights are copied, for the module may be trained afterwards.
        decoder = TorchScriptPythonDecoder(traced, example_input=(example,), shared_memory=False)
        return frontend.convert(frontend.load(decoder))


def save(graph: Any, folder: Path) -> None:
    """Write a graph into a folder, its weights in float32."""
    load_openvino().save_model(graph, folder / FILE, compress_to_fp16=False)


def read(folder: Path) -> Any:
    """Read a graph that `save` wrote.

    Raises:
        RuntimeError: it is damaged.
    """
    return _core().read_model(folder / FILE)


def compile_graph(graph: Any, *, arithmetic: str, threads: int, hint: str) -> Any:
    """Prepare a graph for this processor. `hint`: THROUGHPUT (several streams) or LATENCY (all threads on one)."""
    how = {
        "PERFORMANCE_HINT": hint,
        "INFERENCE_PRECISION_HINT": "bf16" if arithmetic == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
    }
    if hint == "THROUGHPUT" and threads <= 2:
        how["NUM_STREAMS"] = threads
    return _core().compile_model(graph, DEVICE, how)
