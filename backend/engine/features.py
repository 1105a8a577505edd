"""Forward passes over many images: features before the head, and class probabilities.

Images come as one uint8 array, usually memory-mapped; a batch is copied from it at a time, so 100,000 images need no
more memory than 32. It does not resize: `data.cache` did.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from backend.contracts import Preprocessing, Progress, RunControl
from backend.data.pages import release_pages
from backend.data.transforms import normalise
from backend.engine.activation import activate
from backend.engine.arithmetic import at_once, autocast, forward_batch
from backend.engine.network import Network

REPORT_EVERY_S = 1.0

Places = Sequence[int] | npt.NDArray[np.integer]


def extract_features(
    network: Network,
    images: npt.NDArray[np.uint8],
    *,
    preprocessing: Preprocessing,
    places: Places | None = None,
    batch_size: int | None = None,
    control: RunControl | None = None,
) -> npt.NDArray[np.float32]:
    """Features that the head reads, [N, D], of `images` [N, H, W, 3] or of some places among them.

    Raises:
        JobCancelled: through `control`, between batches.
    """

    def forward(batch: torch.Tensor) -> torch.Tensor:
        module = network.module
        spatial = module.forward_features(batch)  # type: ignore[operator]
        return module.forward_head(spatial, pre_logits=True).float()  # type: ignore[operator,no-any-return]

    fitting = at_once(forward_batch(network.device.type), height=preprocessing.height, width=preprocessing.width)
    source = _Batches(images, places, batch_size or fitting)
    rows = _forward(network, source, forward, preprocessing=preprocessing, control=control)
    return np.concatenate(rows).astype(np.float32) if rows else np.zeros((0, network.head.in_features), np.float32)


def predict_probabilities(
    network: Network,
    images: npt.NDArray[np.uint8],
    *,
    preprocessing: Preprocessing,
    places: Places | None = None,
    exact: bool = True,
    control: RunControl | None = None,
) -> npt.NDArray[np.float64]:
    """Class probabilities [N, C]; rows sum to 1 where the network's task is multi-class.

    `exact` computes in float32, as serving does.

    Raises:
        JobCancelled: through `control`, between batches.
    """

    def forward(batch: torch.Tensor) -> torch.Tensor:
        return activate(network.module(batch), network.task)

    batch = forward_batch(network.device.type, exact=exact)
    source = _Batches(images, places, at_once(batch, height=preprocessing.height, width=preprocessing.width))
    rows = _forward(network, source, forward, preprocessing=preprocessing, control=control, exact=exact)
    return np.concatenate(rows) if rows else np.zeros((0, network.num_classes))


class _Batches:
    """Copies of consecutive slices of an image array, as tensors."""

    def __init__(self, images: npt.NDArray[np.uint8], places: Places | None, batch_size: int) -> None:
        self._images = images
        self._places = None if places is None else np.asarray(places, dtype=np.int64)
        self._batch_size = batch_size
        self.total = len(images) if self._places is None else len(self._places)

    def __iter__(self) -> Iterator[torch.Tensor]:
        for start in range(0, self.total, self._batch_size):
            chosen = slice(start, start + self._batch_size)
            yield image_batch(self._images, chosen if self._places is None else self._places[chosen])


def image_batch(images: npt.NDArray[np.uint8], places: slice | npt.NDArray[np.integer]) -> torch.Tensor:
    """A copy of some images as a tensor uint8 [N, H, W, 3]; the array on the disk is never written to.

    Its pages are let go at once: 100,000 images would else take 15 GB of resident memory before the last is read.
    """
    batch = np.array(images[places])
    release_pages(images)
    return torch.from_numpy(batch)


def _forward(
    network: Network,
    source: _Batches,
    forward: Callable[[torch.Tensor], torch.Tensor],
    *,
    preprocessing: Preprocessing,
    control: RunControl | None,
    exact: bool = False,
) -> list[npt.NDArray[np.floating]]:
    control = control or RunControl()
    network.module.eval()
    rows: list[npt.NDArray[np.floating]] = []
    done, reported = 0, time.monotonic()
    with torch.inference_mode(), autocast(network.device, exact=exact):
        for batch in source:
            control.check()
            rows.append(forward(normalise(batch.to(network.device), preprocessing)).cpu().numpy())
            done += len(batch)
            if time.monotonic() - reported > REPORT_EVERY_S:
                reported = time.monotonic()
                control.report(
                    Progress(stage="training", message=f"{network.spec.name}: {done} of {source.total} images")
                )
    return rows
