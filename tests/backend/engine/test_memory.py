from __future__ import annotations

import pytest
import torch

from backend.engine.memory import halving, is_out_of_memory
from backend.errors import OutOfMemory

CPU_WORDS = (
    "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"
)


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.cuda.OutOfMemoryError("CUDA out of memory."), RuntimeError(CPU_WORDS)]
)
def test_each_library_s_way_of_saying_so_is_known(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ValueError("out of memory"), KeyError("x")])
def test_other_errors_are_not_taken_for_it(error):
    assert not is_out_of_memory(error)


def test_the_words_are_those_of_this_torch():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def failing_above(limit, sizes, error):
    def work(size):
        sizes.append(size)
        if size > limit:
            raise error
        return "done"

    return work


def test_half_the_batch_is_tried_once():
    sizes = []
    assert halving(failing_above(16, sizes, MemoryError()), 32, what="a network") == "done"
    assert sizes == [32, 16]


@pytest.mark.parametrize(("batch_size", "tried"), [(32, [32, 16]), (1, [1])])
def test_then_a_sentence_says_what_did_not_fit(batch_size, tried):
    sizes = []
    with pytest.raises(OutOfMemory, match="too small for vit_base, even"):
        halving(failing_above(0, sizes, MemoryError()), batch_size, what="vit_base")
    assert sizes == tried


def test_a_fault_of_the_code_is_not_tried_again():
    sizes = []
    with pytest.raises(RuntimeError, match="shapes"):
        halving(failing_above(0, sizes, RuntimeError("shapes do not fit")), 32, what="a network")
    assert sizes == [32]
