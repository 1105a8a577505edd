"""Running out of memory: how each library says so, and the one second try with half the batch.

It does not know what is computed, and never retries more than once: a machine that is full stays full.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from backend.errors import OutOfMemory

log = logging.getLogger(__name__)

T = TypeVar("T")

# torch's CPU allocator and oneDNN raise a plain RuntimeError; only their words tell it from a fault of the code.
WORDS = ("can't allocate memory", "not enough memory", "out of memory", "could not allocate", "bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory, of the machine or of the GPU, was too small."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in WORDS)


def halving(work: Callable[[int], T], batch_size: int, *, what: str) -> T:
    """Do `work(batch_size)`; where the memory is too small for it, once more with half of that.

    Whatever `work` has done before it ran out is done again, unless it remembers. `what` names the work in the message.

    Raises:
        OutOfMemory: it did not fit the second time either, or the batch was one image already.
    """
    try:
        return work(batch_size)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        first = error
    if batch_size < 2:
        raise OutOfMemory(_sentence(what, batch_size)) from first
    half = batch_size // 2
    log.warning("out of memory: half the batch", extra={"what": what, "batch_size": batch_size, "half": half})
    _let_go()
    try:
        return work(half)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(_sentence(what, half)) from error


def _let_go() -> None:
    gc.collect()  # the failed batch's tensors hang on the traceback until then
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _sentence(what: str, batch_size: int) -> str:
    images = "one image at a time" if batch_size == 1 else f"batches of {batch_size} images"
    return (
        f"The memory is too small for {what}, even in {images}. Choose a smaller network or a machine with more memory."
    )
