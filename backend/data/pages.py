"""Memory of arrays that are mapped from a file: pages once read stay resident, and count, until they are let go.

100,000 images of 224 x 224 pixels are 15 GB on the disk; read through a mapping, all of it would be resident in the
end. It knows nothing of images.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

_LET_GO = getattr(mmap, "MADV_DONTNEED", None)  # Windows has none, and takes such pages back by itself


def release_pages(array: npt.NDArray[Any]) -> None:
    """Let go of the resident pages below an array, where it is mapped from a file; else do nothing.

    Nothing is lost: what was written goes to the file, and what is read again is read from the system's cache.
    """
    mapping = _mapping_below(array)
    if mapping is not None and _LET_GO is not None:
        mapping.madvise(_LET_GO)


def _mapping_below(array: npt.NDArray[Any]) -> mmap.mmap | None:
    below: Any = array
    while isinstance(below, np.ndarray):
        below = below.base
    return below if isinstance(below, mmap.mmap) else None
