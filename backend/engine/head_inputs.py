"""What the head of a network reads, whatever the network is fed: pixels, or what its frozen stages made of them.

It knows no distances and no datasets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from backend.engine.arithmetic import autocast

if TYPE_CHECKING:
    import numpy.typing as npt

    from backend.contracts import RunControl
    from backend.engine.batches import Inputs
    from backend.engine.network import Network

BATCH_SIZE = 32


def head_inputs(
    network: Network, inputs: Inputs, places: npt.NDArray[np.integer], *, control: RunControl
) -> npt.NDArray[np.float32]:
    """Features [P, D] of some places, as they are, in evaluation mode; the network is left as it was.

    Raises:
        JobCancelled, DeadlineExceeded: through `control`, between batches.
    """
    heard: list[npt.NDArray[np.float32]] = []

    def listen(_head: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        heard.append(given[0].detach().float().cpu().numpy())

    module, learning = network.module, network.module.training
    handle = network.head.register_forward_pre_hook(listen)
    try:
        module.eval()
        with torch.inference_mode(), autocast(network.device):
            for start in range(0, len(places), BATCH_SIZE):
                control.check()
                module(inputs.plain(places[start : start + BATCH_SIZE]))
    finally:
        handle.remove()
        module.train(learning)
    return np.concatenate(heard) if heard else np.zeros((0, network.head.in_features), np.float32)
