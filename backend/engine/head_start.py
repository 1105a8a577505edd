"""How a head begins that is trained and not solved, where an image may carry several labels. It trains nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from backend.data.targets import images_by_class
from backend.engine.network import Network

SPREAD = 0.01


def start_from_shares(network: Network, targets: npt.NDArray[Any]) -> None:
    """Let a fresh head answer each label with its share among `targets` [N, C], whatever the picture.

    A head that begins at one half for every label spends its first steps, and the backbone's, on learning that most are
    absent (Lin et al. 2017, section 3.3). timm's own weights are too wide for features that are maxima: those of
    EfficientNet-Lite0 reach 6 where means stay below 1, so that scores would begin beyond 3.
    """
    images = len(targets)
    shares = (images_by_class(targets, network.num_classes) + 0.5) / (images + 1)  # never 0 or 1
    with torch.no_grad():
        nn.init.normal_(network.head.weight, std=SPREAD)
        network.head.bias.copy_(torch.from_numpy(np.log(shares / (1 - shares))))
