"""Does a heat map mark what the answer rests on? What it marks is blurred away, and the answer must fall.

A heat map looks convincing whatever it shows: those of an untrained network do too (Adebayo et al. 2018, "Sanity Checks
for Saliency Maps"). So the hottest tenth, quarter and 45% of the picture are blurred and the class's probability is
read again (the deletion test of Petsiuk et al. 2018, "RISE"); then the same with the map moved to other places, which
blurs as much, in one piece, where the map says that nothing is. What stands out against these counts. The number alone
does not: it depends on picture, filling and steps (Tomsett et al. 2020, "Sanity Checks for Saliency Metrics").

It knows networks and their input, no pictures, and nothing of how a heat map comes about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from backend.contracts import HeatmapEvidence, Task
from backend.data.images import Placement
from backend.engine.activation import activate
from backend.engine.arithmetic import autocast
from backend.engine.network import Network
from backend.inference.access import exclusive

Heat = npt.NDArray[np.float32]
Ranks = npt.NDArray[np.int64]

SHARES = (0.10, 0.25, 0.45)  # of the picture, blurred step by step
MOVES = 8  # of the map to other places; with the picture as it is 1 + 3 x (1 + 8) = 28 images
CELLS = 7  # a side of a square picture; the map of a usual network is no finer
BLUR = 4  # a blurred place is the mean of about a quarter of the picture's side
AT_ONCE = 7  # images between which a prediction may have the network
# Beyond the moved maps' mean by their spread, and by five points. On twelve test images of CIFAR-10's three classes 9
# of a trained Lite0's maps pass then, 2 of maps of another image, 4 of an untrained network's; at half the spread 10,
# 4 and 4.
SPREADS, LEAST_AHEAD = 1.0, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A heat map in question: `heat` [h, w] over the network's input, for the class at `target`.

    `frame` says where in the input the picture lies, beyond which there is only border.
    """

    heat: Heat
    target: int
    label: str
    frame: Placement


def deletion_test(network: Network, pixels: torch.Tensor, marked: Marked, *, task: Task) -> HeatmapEvidence:
    """Try the map on the picture that it was drawn for; `pixels` float [1, 3, h, w] are normalised.

    The same picture and map give the same answer.
    """
    box = _box(marked.frame, (pixels.shape[2], pixels.shape[3]))
    grid = _grid(box)
    own = ranks(cells(marked.heat[box.rows, box.columns], grid))
    orders = [own, *moved(own, MOVES)]
    before, *after = _read(network, pixels, _hidden(pixels, box, orders), marked, task=task)
    left = np.reshape(after, (len(orders), len(SHARES)))
    # a network that overflowed says nothing of the map
    falls = np.nan_to_num(np.clip((before - left) / max(before, 1e-12), -1.0, 1.0))
    return verdict(marked.label, falls.mean(axis=1))


def verdict(label: str, falls: npt.NDArray[np.floating]) -> HeatmapEvidence:
    """What the falls [1 + M] say, of the map first and of the moved ones after it."""
    score, random, spread = float(falls[0]), float(falls[1:].mean()), float(falls[1:].std(ddof=1))
    ahead = score - random
    stands_out = ahead > LEAST_AHEAD and ahead > SPREADS * spread
    return HeatmapEvidence(
        label=label, score=round(score, 4), random=round(random, 4), verdict="evidence" if stands_out else "weak"
    )


def cells(heat: Heat, grid: tuple[int, int]) -> Heat:
    """The mean heat of each of `grid` (rows, columns) parts of a map [h, w]."""
    found = functional.adaptive_avg_pool2d(torch.from_numpy(np.array(heat, dtype=np.float32))[None], grid)
    return np.asarray(found[0].numpy())


def ranks(heat: Heat) -> Ranks:
    """The place [rows, columns] of each cell in the order from the hottest, which is 0; equal ones are shuffled.

    Most of a map is often cold through and through, and in reading order that would mean its upper left corner.
    """
    shuffled = np.random.default_rng(0).permutation(heat.size)
    order = np.lexsort((shuffled, -heat.ravel()))
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    return places.reshape(heat.shape)


def moved(order: Ranks, count: int) -> list[Ranks]:
    """The map elsewhere: shifted round the edges, perhaps mirrored; the same moves for maps of the same size."""
    random = np.random.default_rng(0)
    found: list[Ranks] = []
    rows, columns = order.shape
    while len(found) < count:
        down, across = int(random.integers(rows)), int(random.integers(columns))
        turned = order[:: random.choice((-1, 1)), :: random.choice((-1, 1))]
        if rows * columns == 1 or (down, across) != (0, 0):
            found.append(np.roll(turned, (down, across), (0, 1)))
    return found


@dataclass(frozen=True, slots=True)
class _Box:
    """Where in the input the picture lies."""

    rows: slice
    columns: slice

    @property
    def size(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def _box(frame: Placement, size: tuple[int, int]) -> _Box:
    height, width = size
    top, left = max(0, frame.top), max(0, frame.left)
    bottom, right = min(height, frame.top + frame.height), min(width, frame.left + frame.width)
    return _Box(slice(top, max(top + 1, bottom)), slice(left, max(left + 1, right)))


def _grid(box: _Box) -> tuple[int, int]:
    """Rows and columns of about equally long sides, about as many as a square picture has."""
    height, width = box.size
    ratio = (height / width) ** 0.5
    limit = CELLS * CELLS
    return (
        min(height, limit, max(1, round(CELLS * ratio))),
        min(width, limit, max(1, round(CELLS / ratio))),
    )


def _hidden(pixels: torch.Tensor, box: _Box, orders: list[Ranks]) -> torch.Tensor:
    """What is blurred in each picture, float [P, 1, h, w] of 0..1: nothing, then each order's shares."""
    masks = [torch.zeros(1, 1, *pixels.shape[2:])]
    for order in orders:
        for share in SHARES:
            part = torch.from_numpy((order < max(1, round(share * order.size))).astype(np.float32))[None, None]
            mask = torch.zeros(1, 1, *pixels.shape[2:])
            mask[:, :, box.rows, box.columns] = functional.interpolate(part, size=box.size, mode="nearest")
            masks.append(mask)
    return torch.cat(masks)


def _read(
    network: Network, pixels: torch.Tensor, hidden: torch.Tensor, marked: Marked, *, task: Task
) -> Iterator[float]:
    """The probability of the class with each part hidden."""
    veil = blurred(pixels)
    with torch.inference_mode(), autocast(network.device, exact=False):
        for start in range(0, len(hidden), AT_ONCE):
            masks = hidden[start : start + AT_ONCE].to(pixels.device)
            batch = torch.lerp(pixels, veil, masks).contiguous(memory_format=torch.channels_last)
            with exclusive(network.module):
                scores = network.module(batch)
            yield from activate(scores.float(), task)[:, marked.target].cpu().tolist()


def blurred(pixels: torch.Tensor) -> torch.Tensor:
    """The picture with all but its broad light and colour gone; its border is blurred along with it.

    Grey or black patches are edges that no photograph has, and a network answers to those too.
    """
    height, width = pixels.shape[2:]
    found = pixels.cpu().double()
    for _ in range(2):  # twice a box is close to a Gaussian
        for axis, side in ((2, height), (3, width)):
            found = _means(found, max(1, side // (2 * BLUR)), axis=axis)
    return found.to(pixels)


def _means(pixels: torch.Tensor, reach: int, *, axis: int) -> torch.Tensor:
    """The mean of each place and `reach` places to both sides of it, along axis 2 or 3 of [1, 3, h, w].

    By running sums, whose time knows no reach: a pooling of a strip of 1600 x 256 pixels took 170 s, for each of its
    places 401 x 65 others were added up.
    """
    edges = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
    wide = functional.pad(pixels, edges, mode="replicate")
    sums = functional.pad(wide.cumsum(axis), (0, 0, 1, 0) if axis == 2 else (1, 0))
    across, places = 2 * reach + 1, pixels.shape[axis]
    return (sums.narrow(axis, across, places) - sums.narrow(axis, 0, places)) / across
