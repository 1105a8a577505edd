"""What a network in training makes of inputs as they are: its answers, or what its head reads. It trains nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from backend.contracts import RunControl
from backend.engine.activation import activate_array
from backend.engine.arithmetic import at_once, autocast
from backend.engine.batches import Inputs
from backend.engine.network import Network

PREDICTED_AT_ONCE = 32  # images
PIXELS = 4  # dimensions of a batch of maps or pictures [N, C, H, W]


def predict_inputs(
    network: Network, inputs: Inputs, places: npt.NDArray[np.integer], *, control: RunControl
) -> npt.NDArray[np.float64]:
    """Class probabilities [N, C] of inputs as they are, in the training's own arithmetic.

    Raises:
        JobCancelled: through `control`, between batches.
    """
    rows = forward(network, inputs, places, control=control, part=network.module)
    return activate_array(rows, network.task) if len(rows) else rows


def features_before_head(
    network: Network, inputs: Inputs, places: npt.NDArray[np.integer], *, control: RunControl
) -> npt.NDArray[np.float64]:
    """What the head reads [N, D] of inputs as they are."""
    module = network.module

    def before_head(batch: torch.Tensor) -> torch.Tensor:
        spatial = module.forward_features(batch)  # type: ignore[operator]
        return module.forward_head(spatial, pre_logits=True)  # type: ignore[operator,no-any-return]

    return forward(network, inputs, places, control=control, part=before_head)


def forward(
    network: Network,
    inputs: Inputs,
    places: npt.NDArray[np.integer],
    *,
    control: RunControl,
    part: Callable[[torch.Tensor], torch.Tensor],
) -> npt.NDArray[np.float64]:
    """What a part of the network makes of the inputs at `places` [N, ...], without random changes."""
    rows = [np.zeros((0, network.num_classes))]
    many = PREDICTED_AT_ONCE
    if len(places) > 1 and (one := inputs.plain(places[:1])).ndim == PIXELS:
        many = at_once(many, height=one.shape[-2], width=one.shape[-1])
    for module in (network.module, part):
        if isinstance(module, nn.Module):
            module.eval()
    with torch.inference_mode(), autocast(network.device):
        for start in range(0, len(places), many):
            control.check()
            batch = inputs.plain(places[start : start + many])
            rows.append(part(batch).double().cpu().numpy())
    return np.concatenate(rows[1:] or rows)
