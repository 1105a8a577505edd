"""Settings of the C libraries below torch. They must stand before torch is loaded, so a process that will compute says
so first. It imports nothing heavy and knows nothing of what is computed.
"""

from __future__ import annotations

import ctypes
import os
import sys

# glibc's mallopt (malloc.h), and what a forward pass of 32 images at 224 px asks for.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
MIB = 1024 * 1024
KEPT = {M_MMAP_THRESHOLD: 32 * MIB, M_TRIM_THRESHOLD: 1024 * MIB, M_TOP_PAD: 64 * MIB}


def prepare_native_libraries() -> None:
    """Let idle threads sleep, and keep freed memory for the next tensor.

    Sleeping: OpenMP's threads spin while they wait for each other; where another process wants a core too (the API, a
    browser), a forward pass of EfficientNet-Lite0 in bfloat16 ran at 35-85 images/s instead of 6-8 once they slept.
    Keeping: glibc gives large tensors back to the system and faults every page in again; without that, the same pass
    took 8-10 ms of processor time an image instead of 11-14.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        for option, value in KEPT.items():
            if mallopt is not None:
                mallopt(option, value)
