"""The forward pass in torch itself: exact float32, or bfloat16 where the hardware multiplies it.

It works for every network, and is what all other ways are compared with.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from backend.contracts import Preprocessing
from backend.data.transforms import normalise
from backend.engine.arithmetic import autocast, has_fast_bfloat16
from backend.engine.forward.protocol import Features, Pixels
from backend.engine.network import Network

Arithmetic = Literal["fp32", "bf16"]


def fast_arithmetic(device_type: str) -> Arithmetic:
    """bfloat16 where the hardware has it, else float32."""
    return "bf16" if has_fast_bfloat16(device_type) else "fp32"


def torch_kind(arithmetic: Arithmetic, device_type: str) -> str:
    """The name of torch's way: `torch-2.15.0-bf16`, with `cuda` in it where that computes."""
    where = "" if device_type == "cpu" else f"{device_type}-"
    return f"torch-{torch.__version__.split('+')[0]}-{where}{arithmetic}"


class TorchForward:
    """Features by the module itself, on its own device."""

    def __init__(self, network: Network, preprocessing: Preprocessing, *, arithmetic: Arithmetic) -> None:
        self._network = network
        self._preprocessing = preprocessing
        self._exact = arithmetic == "fp32"
        self.kind = torch_kind(arithmetic, network.device.type)

    def __call__(self, images: Pixels) -> Features:
        device = self._network.device
        self._network.module.eval()
        with torch.inference_mode(), autocast(device, exact=self._exact):
            batch = normalise(torch.from_numpy(images).to(device), self._preprocessing)
            features: Features = pooled(self._network.module, batch).float().cpu().numpy()
        return features


def pooled(module: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """What the classifier reads, [N, D], for a normalised batch [N, 3, H, W] of any timm network."""
    spatial = module.forward_features(batch)  # type: ignore[operator]
    return module.forward_head(spatial, pre_logits=True)  # type: ignore[operator,no-any-return]
