"""Where a Grad-CAM looks inside a network, and how what it finds there becomes a map. Knows timm modules, no pictures.

Convolutional networks: the output of the last stage. Transformers: the input of the last block's attention, because
after it only the class token still reaches the head and the gradient of every other token is zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from backend.engine.models import ModelSpec
from backend.errors import InputError

# Class, distillation and register tokens before the patches: at most 1 + 1 + 8 in timm's networks.
MOST_PREFIX_TOKENS = 10

Reshape = Callable[[torch.Tensor], torch.Tensor]


def target_layer(module: nn.Module, spec: ModelSpec) -> nn.Module:
    """Return the submodule whose output a Grad-CAM reads.

    Raises:
        InputError: the network does not say where its features are.
    """
    return module.get_submodule(_path(module, spec))


def reads_attention(module: nn.Module, spec: ModelSpec) -> bool:
    """Whether the layer feeds an attention, whose gradients differ from place to place.

    Raises:
        InputError: the network does not say where its features are.
    """
    return _path(module, spec).endswith(".norm1")


def _path(module: nn.Module, spec: ModelSpec) -> str:
    path = spec.cam_layer or _derived_path(module)
    if path is None:
        raise InputError(
            f"'{spec.name}' does not tell where its last features are, so no heat map can be drawn for it. "
            "Every network of the catalogue has one."
        )
    return path


def _derived_path(module: nn.Module) -> str | None:
    """The last entry of timm's own feature list; in a transformer's block, its first norm."""
    features: Any = getattr(module, "feature_info", None)
    last = features[-1] if isinstance(features, list) and features else None
    path = last.get("module") if isinstance(last, dict) else None
    if not path or path not in dict(module.named_modules()):
        return None
    block = module.get_submodule(path)
    return f"{path}.norm1" if isinstance(getattr(block, "norm1", None), nn.Module) and hasattr(block, "attn") else path


def reshape_for(module: nn.Module, spec: ModelSpec) -> Reshape:
    """Return the function that turns a layer's output, or its gradient, into [N, C, h, w].

    It takes [N, C, h, w] as it is, [N, h, w, C] from networks that say so (Swin), and tokens [N, T, C] by laying the
    last h * w of them out as rows and columns.
    """
    channels_last = getattr(module, "output_fmt", "NCHW") == "NHWC"
    grid = getattr(getattr(module, "patch_embed", None), "grid_size", None)

    def reshape(output: torch.Tensor) -> torch.Tensor:
        if isinstance(output, torch.Tensor) and output.dim() == 4:
            return output.permute(0, 3, 1, 2) if channels_last else output
        if isinstance(output, torch.Tensor) and output.dim() == 3:
            rows, columns = _token_grid(output.shape[1], grid)
            if rows * columns > 0:
                patches = output[:, output.shape[1] - rows * columns :, :]
                return patches.reshape(len(output), rows, columns, -1).permute(0, 3, 1, 2)
        raise InputError(f"The last features of '{spec.name}' are no map of the picture, so no heat map can be drawn.")

    return reshape


def _token_grid(tokens: int, grid: tuple[int, int] | None) -> tuple[int, int]:
    """Rows and columns of patches among `tokens`; (0, 0) where they form no grid."""
    if grid is not None and 0 <= tokens - grid[0] * grid[1] <= MOST_PREFIX_TOKENS:
        return int(grid[0]), int(grid[1])
    side = math.isqrt(tokens)
    return (side, side) if tokens - side * side <= MOST_PREFIX_TOKENS else (0, 0)
