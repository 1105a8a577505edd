"""How numbers are computed on this machine: device, threads, memory layout, bfloat16. It knows no network.

CUDA and CPU only: nobody has measured Sightglass on another device.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import torch
from torch import nn

SQUARE = 224 * 224  # pixels for which batch sizes were measured


@cache
def choose_device() -> torch.device:
    """The first CUDA device, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def set_threads(count: int) -> None:
    """Threads of one operation. Threads x workers beyond the cores cost many times over, so one worker takes all."""
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def keep_products_on_one_thread() -> None:
    """Compute NumPy's products on the thread that asks, from now on in the whole process.

    Where several threads compute already, OpenBLAS' own spin while they wait for a core: the distances of four pictures
    to 480 training images took 14 ms of processor time on two busy cores, and 0.8 ms on one thread.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(limits=1, user_api="blas")


@cache
def has_fast_bfloat16(device_type: str) -> bool:
    """Whether the hardware multiplies bfloat16 itself; emulated, it is slower than float32.

    On a CPU with avx512_bf16 (2 cores), features take 0.6 of float32's time on convolutions and 0.15 on a ViT-Tiny,
    a training step 0.6 to 1.05.
    """
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def forward_batch(device_type: str, *, exact: bool = False) -> int:
    """Images in one frozen forward pass.

    Few on a CPU: glibc keeps no tensor above 32 MiB for the next one, and each page of a new one is faulted in. At 224
    px on two cores EfficientNet-Lite0 in bfloat16 took 588 faults an image at 32 images and none at 8 (175 and 190
    images/s by processor time), in float32 5,754 at 32 and none at 4 (72 and 111 images/s).
    """
    if device_type == "cuda":
        return 64
    return 8 if has_fast_bfloat16(device_type) and not exact else 4


def at_once(count: int, *, height: int, width: int) -> int:
    """How many pictures of this size take the memory of `count` of 224 x 224: at least one, at most `count`."""
    return max(1, min(count, count * SQUARE // (height * width)))


def autocast(device: torch.device, *, exact: bool = False) -> AbstractContextManager[object]:
    """Compute in bfloat16 where it pays; `exact` stays in float32, as serving does."""
    enabled = not exact and has_fast_bfloat16(device.type)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def place(module: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, its convolutions laid out channels last, which both devices compute fastest."""
    return module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
