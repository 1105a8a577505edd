"""How many images a training step may hold at once, by what one image leaves behind for its gradients.

It measures, it does not train: one forward pass of one image. A batch that is too large for the memory is taken in
parts, whose gradients are added up, so that the step stays the one that was asked for.
"""

from __future__ import annotations

import logging
import math

import numpy as np
import torch

from backend.engine.arithmetic import autocast
from backend.engine.batches import Inputs
from backend.engine.network import Network
from backend.execution.memory import MIB, free_memory_mb

log = logging.getLogger(__name__)

# Of the free memory; gradients of activations come on top of what is kept for them, the largest layer's at a time.
MOST_SHARE = 0.5
LEAST = 2  # BatchNorm cannot train on one image


def fitting_batch(network: Network, inputs: Inputs, batch_size: int) -> int:
    """`batch_size`, or the largest equal part of it that fits into half of the memory that is free now."""
    free = _free_bytes(network.device)
    if free is None or batch_size <= LEAST:
        return batch_size
    each = bytes_per_image(network, inputs)
    most = max(LEAST, int(MOST_SHARE * free / max(1, each)))
    if most >= batch_size:
        return batch_size
    fitting = max(LEAST, math.ceil(batch_size / math.ceil(batch_size / most)))
    log.info("batch in parts", extra={"batch_size": batch_size, "at_once": fitting, "mib_an_image": each // MIB})
    return fitting


def bytes_per_image(network: Network, inputs: Inputs) -> int:
    """Bytes that one image's forward pass keeps for the gradients, counted as torch keeps them."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    module, own = network.module, {parameter.data_ptr() for parameter in network.module.parameters()}
    module.eval()  # statistics stay as they are
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), autocast(network.device):
        scores = module(inputs.plain(np.arange(1)))
    del scores
    return sum(size for place, size in kept.items() if place not in own)


def _free_bytes(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = free_memory_mb()
    return None if free is None else free * MIB
