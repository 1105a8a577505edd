"""Many pictures at once: prepared by several threads, answered in batches, as fast as the machine computes.

What it answers is what a single prediction answers: float32, and the faster graph takes over only where its first batch
agrees with torch. It reads no files and keeps no results.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from backend.data.images import prepare_image
from backend.data.transforms import normalise
from backend.engine.activation import activate
from backend.engine.bundle import Bundle
from backend.engine.forward import openvino_library as library
from backend.engine.forward.choice import CANNOT
from backend.engine.forward.openvino_forward import CALL, OpenVinoForward, graph_of
from backend.engine.members import Member
from backend.inference.familiarity import assess_many

log = logging.getLogger(__name__)

BATCH = CALL
# Pictures from which on a conversion, of about a second, repays itself.
WORTH_CONVERTING = 100
# Largest difference of a probability from torch's; seen are 1e-6.
MOST_APART = 1e-4

Pixels = npt.NDArray[np.uint8]
Prepared = tuple[Pixels, ...]
Scored = tuple[torch.Tensor, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class BulkAnswer:
    """Of N pictures: probabilities [N, C], and which are unlike the training images [N]."""

    probabilities: npt.NDArray[np.float64]
    unfamiliar: npt.NDArray[np.bool_]


class BulkPredictor:
    """A loaded bundle that answers batches. `prepare` may be called by many threads, `answer` by one."""

    def __init__(self, bundle: Bundle, *, count: int) -> None:
        self.bundle = bundle
        self._networks = tuple(_Network(member, fast=count >= WORTH_CONVERTING) for member in bundle.voices)

    def prepare(self, picture: Image.Image) -> Prepared:
        """A picture as each network is fed it, uint8 [H, W, 3]; networks that want it alike share one."""
        made = {}
        for member in self.bundle.voices:
            if member.preprocessing not in made:
                made[member.preprocessing] = prepare_image(picture, member.preprocessing)
        return tuple(made[member.preprocessing] for member in self.bundle.voices)

    def answer(self, batch: Sequence[Prepared]) -> BulkAnswer:
        """Answer for pictures that `prepare` made, at least one."""
        together = np.zeros((len(batch), len(self.bundle.info.class_names)))
        leading: npt.NDArray[np.float32] | None = None
        for network, pixels in zip(self._networks, zip(*batch, strict=True), strict=True):
            scores, features = network.scored(np.stack(pixels))
            together += network.member.weight * activate(scores, self.bundle.info.task).cpu().numpy()
            leading = features if leading is None else leading
        reference = self.bundle.reference
        if reference is None or leading is None:
            return BulkAnswer(together, np.zeros(len(batch), dtype=bool))
        return BulkAnswer(together, assess_many(reference, leading).unfamiliar)


class _Network:
    """One network: torch, or OpenVINO with several pictures at once where there is enough to do."""

    def __init__(self, member: Member, *, fast: bool) -> None:
        self.member = member
        self._try_fast = fast and member.network.device.type == "cpu" and library.openvino_version() is not None
        self._forward: Callable[[Pixels], Scored] = self._by_torch

    def scored(self, pixels: Pixels) -> Scored:
        """Scores [N, C] and features [N, D]."""
        if self._try_fast:
            self._try_fast = False
            return self._choose(pixels)
        return self._forward(pixels)

    def _choose(self, pixels: Pixels) -> Scored:
        expected = self._by_torch(pixels)
        try:
            graph = graph_of(self.member.network, self.member.preprocessing)
            forward = OpenVinoForward(graph, arithmetic="fp32")
        except CANNOT as error:
            log.warning("network not converted", extra={"network": self.member.name, "reason": str(error)[:300]})
            return expected

        def by_openvino(pixels: Pixels) -> Scored:
            features = forward(pixels)
            with torch.inference_mode():
                return self.member.network.head(torch.from_numpy(features)), features

        apart = _apart(by_openvino(pixels)[0], expected[0])
        if apart <= MOST_APART:
            self._forward = by_openvino
        else:
            log.warning("converted network disagrees", extra={"network": self.member.name, "apart": apart})
        return expected

    def _by_torch(self, pixels: Pixels) -> Scored:
        network = self.member.network
        batch = normalise(torch.from_numpy(pixels).to(network.device), self.member.preprocessing)
        module = network.module
        with torch.inference_mode():
            spatial = module.forward_features(batch)  # type: ignore[operator]
            features = module.forward_head(spatial, pre_logits=True)  # type: ignore[operator]
            scores = module.forward_head(spatial)  # type: ignore[operator]
        return scores, features.float().cpu().numpy()


def _apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference of a probability, whatever the task: softmax and sigmoid change no faster than scores."""
    pairs = [(activate(found, task), activate(expected, task)) for task in ("multiclass", "multilabel")]
    return max(float((one - other).abs().max()) for one, other in pairs)
