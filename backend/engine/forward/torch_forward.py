"""The forward pass in torch itself: exact float32, or half the width where the hardware multiplies it.

It works for every network, and is what all other ways are compared with. On CUDA a batch is copied from pinned memory
without waiting, and very many pictures repay `torch.compile`. That part was written without a GPU at hand; like every
other way it is held to the comparison with float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import nn

from backend.contracts import Preprocessing
from backend.data.transforms import normalise
from backend.engine.arithmetic import forward_batch, has_fast_bfloat16
from backend.engine.forward.protocol import Features, Pixels
from backend.engine.network import Network

Arithmetic = Literal["fp32", "bf16", "fp16"]

WIDTHS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
COMPILED = "-compiled"


def fast_arithmetic(device_type: str) -> Arithmetic:
    """bfloat16 where the hardware has it; else float16 on CUDA, whose older cards have that, and float32 on a CPU."""
    if has_fast_bfloat16(device_type):
        return "bf16"
    return "fp16" if device_type == "cuda" else "fp32"


def torch_kind(arithmetic: Arithmetic, device_type: str, *, compiled: bool = False) -> str:
    """The name of torch's way: `torch-2.15.0-bf16`, with `cuda` in it where that computes."""
    where = "" if device_type == "cpu" else f"{device_type}-"
    return f"torch-{torch.__version__.split('+')[0]}-{where}{arithmetic}{COMPILED if compiled else ''}"


class TorchForward:
    """Features by the module itself, on its own device."""

    def __init__(
        self, network: Network, preprocessing: Preprocessing, *, arithmetic: Arithmetic, compiled: bool = False
    ) -> None:
        self._network = network
        self._preprocessing = preprocessing
        self._arithmetic = arithmetic
        self._pooled: Callable[[nn.Module, torch.Tensor], torch.Tensor] = pooled
        if compiled:
            self._pooled = torch.compile(pooled, dynamic=False)
        self._compiled = compiled
        self.batch_size = forward_batch(network.device.type, exact=arithmetic == "fp32")
        self.kind = torch_kind(arithmetic, network.device.type, compiled=compiled)

    def __call__(self, images: Pixels) -> Features:
        if not self._compiled:
            return self._rows(images)
        size = self.batch_size  # it is compiled for one shape only
        pieces = [images[start : start + size] for start in range(0, len(images), size)]
        return np.concatenate([self._rows(filled(piece, size))[: len(piece)] for piece in pieces])

    def _rows(self, images: Pixels) -> Features:
        device = self._network.device
        self._network.module.eval()
        width = WIDTHS[self._arithmetic]
        with torch.inference_mode(), torch.autocast(device.type, dtype=width, enabled=width != torch.float32):
            batch = normalise(_moved(torch.from_numpy(images), device), self._preprocessing)
            features: Features = self._pooled(self._network.module, batch).float().cpu().numpy()
        return features


def pooled(module: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """What the classifier reads, [N, D], for a normalised batch [N, 3, H, W] of any timm network."""
    spatial = module.forward_features(batch)  # type: ignore[operator]
    return module.forward_head(spatial, pre_logits=True)  # type: ignore[operator,no-any-return]


def filled(images: Pixels, batch: int) -> Pixels:
    """Pictures filled up to `batch` by the last of them; their rows are thrown away afterwards."""
    if len(images) == batch:
        return np.ascontiguousarray(images)
    return np.concatenate([images, np.repeat(images[-1:], batch - len(images), axis=0)])


def _moved(batch: torch.Tensor, device: torch.device) -> torch.Tensor:
    if device.type == "cuda":  # from pinned memory the copy runs beside the computation
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)
