"""A temperature written into a network: its confidence changes, its answers do not. It does not choose temperatures.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from backend.engine.network import Network


def scale_head(network: Network, temperature: float, offsets: Sequence[float] | None = None) -> None:
    """Divide the last layer's scores by a temperature, in place: softmax((Wx + b) / T) is softmax(W/T x + b/T).

    `offsets` [C] are then added to the scores; they are for networks that name any number of labels.

    So the saved weights are calibrated for anybody who opens them, with nothing to remember beside them.

    Raises:
        ValueError: the temperature is not a positive number, or offsets do not fit the head.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"a temperature of {temperature} divides no scores")
    head = network.head
    if offsets is not None and (head.bias is None or len(offsets) != len(head.bias)):
        raise ValueError(f"{len(offsets)} offsets do not fit a head of {head.out_features} scores")
    with torch.no_grad():
        head.weight.div_(temperature)
        if head.bias is not None:
            head.bias.div_(temperature)
            if offsets is not None:
                head.bias.add_(torch.tensor(offsets).to(head.bias))
