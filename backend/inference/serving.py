"""One network that answers: in torch from its first picture on, in OpenVINO once enough were asked for to repay that.

Both compute in float32; the faster one takes over only where its answers are those of torch. It knows pictures that are
prepared already, and no bundle.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from backend.data.transforms import normalise
from backend.engine.activation import activate
from backend.engine.forward import openvino_library as library
from backend.engine.forward.choice import CANNOT
from backend.engine.forward.openvino_forward import OpenVinoForward, graph_of
from backend.engine.members import Member
from backend.engine.network import Network
from backend.inference.access import exclusive

log = logging.getLogger(__name__)

# Converting takes about a second of one core, in the background; most models are asked for fewer pictures than this.
CONVERT_AFTER = 100
# Largest difference of a probability. Seen: 1e-6; the `.pth` computed elsewhere, by another torch, differs as much.
MOST_APART = 1e-4

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a network says of a batch: probabilities [N, C], and the features [N, D] that they come from."""

    probabilities: npt.NDArray[np.float64]
    features: npt.NDArray[np.float32]


class ServedNetwork:
    """A member of a bundle, answering. Safe to share between threads; they take turns."""

    def __init__(self, member: Member, *, convert_after: int = CONVERT_AFTER) -> None:
        self.member = member
        self._left = convert_after
        self._forward: OpenVinoForward | None = None
        self._conversion: threading.Thread | None = None

    def answer(self, pixels: Pixels) -> Answer:
        """Answer for prepared pictures, uint8 [N, H, W, 3]."""
        with exclusive(self.member.network.module):
            answer = self._by_torch(pixels) if self._forward is None else self._by_openvino(self._forward, pixels)
            self._left -= len(pixels)
            if self._left <= 0 and self._conversion is None and self._convertible():
                self._conversion = threading.Thread(target=self._convert, args=(pixels,), daemon=True, name="convert")
                self._conversion.start()
        return answer

    def wait(self) -> bool:
        """Wait for a conversion that has begun; whether OpenVINO answers from now on."""
        if self._conversion is not None:
            self._conversion.join()
        return self._forward is not None

    def _convertible(self) -> bool:
        return self.member.network.device.type == "cpu" and library.openvino_version() is not None

    def _by_torch(self, pixels: Pixels) -> Answer:
        network = self.member.network
        batch = normalise(torch.from_numpy(pixels).to(network.device), self.member.preprocessing)
        module = network.module
        with torch.inference_mode():
            spatial = module.forward_features(batch)  # type: ignore[operator]
            # The head is run twice, without and with its last layer: beside the backbone that costs nothing.
            features = module.forward_head(spatial, pre_logits=True)  # type: ignore[operator]
            scores = module.forward_head(spatial)  # type: ignore[operator]
        return Answer(_probabilities(network, scores), features.float().cpu().numpy())

    def _by_openvino(self, forward: OpenVinoForward, pixels: Pixels) -> Answer:
        features = forward(pixels)
        with torch.inference_mode():
            scores = self.member.network.head(torch.from_numpy(features))
        return Answer(_probabilities(self.member.network, scores), features)

    def _convert(self, sample: Pixels) -> None:
        network = self.member.network
        try:
            with exclusive(network.module):  # recording listens inside the module
                graph = graph_of(network, self.member.preprocessing)
            forward = OpenVinoForward(graph, arithmetic="fp32", batch=1, hint="LATENCY")
            with exclusive(network.module):
                expected, found = self._by_torch(sample), self._by_openvino(forward, sample)
        except CANNOT as error:
            log.warning("network not converted", extra={"network": self.member.name, "reason": str(error)[:300]})
            return
        apart = float(np.abs(found.probabilities - expected.probabilities).max())
        if apart <= MOST_APART:
            self._forward = forward
        else:
            log.warning("converted network disagrees", extra={"network": self.member.name, "apart": apart})


def _probabilities(network: Network, scores: torch.Tensor) -> npt.NDArray[np.float64]:
    rows: npt.NDArray[np.float64] = activate(scores, network.task).cpu().numpy()
    return rows
