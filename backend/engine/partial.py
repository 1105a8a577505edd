"""A network cut in two: early stages that stay as they are, and the last ones, which train.

The early stages see the most pixels and cost the most, and what they have learned (edges, textures) serves any picture.
Their answers are computed once, for a few random views of each image, and kept in memory: an epoch then costs what the
last stages cost. timm names the stages of a network; whether a cut gives the same answers is checked, not assumed.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from torch import nn

from backend.engine.arithmetic import autocast, has_fast_bfloat16

if TYPE_CHECKING:
    import numpy.typing as npt

    from backend.contracts import RunControl
    from backend.engine.batches import Inputs
    from backend.engine.network import Network

    Ints = npt.NDArray[np.integer]

log = logging.getLogger(__name__)

MOST_STAGES = 5  # a convolutional network names a stage a resolution; a transformer names every block
BATCH_SIZE = 32
TOLERANCE = 1e-3  # of the largest score; float32 rounds at 1e-7 and a wrong cut is off by far more


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where a network is cut: `after` this module, with `trained` stages beyond it. The network is not changed.

    `exact`: the early stages compute in float32, as serving does, and only what they give is rounded. Their maps are
    large, and what is rounded there all later stages learn to make up for: on strips of boards the scores of a network
    that was trained so were off by a third of their spread once it was served, and by a fiftieth with exact early
    stages (decision 45).
    """

    network: Network
    after: str
    trained: int
    exact: bool = False

    def frozen_part(self, inputs: torch.Tensor) -> torch.Tensor:
        """What the early stages make of a batch; call in inference mode."""
        place = self.network.module.get_submodule(self.after)
        handle = place.register_forward_hook(_leave)
        try:
            self.network.module.forward_features(inputs)  # type: ignore[operator]
        except _Reached as reached:
            return reached.value
        finally:
            handle.remove()
        raise LookupError(f"'{self.after}' is not on the way of this network")

    def trained_part(self) -> Network:
        """A copy of the rest, which reads what `frozen_part` gives; the early stages let everything through."""
        module = copy.deepcopy(self.network.module)
        _clear_before(module, self.after.split("."))
        if hasattr(module, "_pos_embed"):  # a transformer adds positions in a method, not in a module
            module._pos_embed = _as_it_is  # type: ignore[assignment]  # noqa: SLF001
        return replace(self.network, module=module)

    def take_back(self, trained: Network) -> None:
        """Copy the trained stages' weights into the whole network."""
        own = self.network.module.state_dict()
        state = {name: value for name, value in trained.module.state_dict().items() if name in own}
        self.network.module.load_state_dict(state, strict=False)


def _as_it_is(batch: torch.Tensor) -> torch.Tensor:
    return batch


class _Reached(Exception):
    """Ends a forward pass at the cut; carries what had been computed."""

    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.value = value


def _leave(_module: nn.Module, _inputs: object, output: torch.Tensor) -> NoReturn:
    raise _Reached(output)


def find_cut(network: Network, *, trained: int, exact: bool = False) -> Cut | None:
    """Cut so that the last `trained` stages are free, or None where this network cannot be cut so.

    A network from scratch is never cut: its early stages have learned nothing that could stay.
    """
    if network.weights == "scratch" or trained < 1:
        return None
    ends = stage_ends(network.module)
    if len(ends) <= trained:
        return None
    cut = Cut(network=network, after=ends[-trained - 1], trained=trained, exact=exact)
    if _same_answers(cut):
        return cut
    log.info("network cannot be cut", extra={"network": network.spec.name, "after": cut.after})
    return None


def stages_beyond(network: Network, stride: int) -> int:
    """How many of the last stages have maps that are more than `stride` times smaller than the picture."""
    known = {entry["module"]: entry["reduction"] for entry in getattr(network.module, "feature_info", ())}
    return sum(known[name] > stride for name in stage_ends(network.module))


def stage_ends(module: nn.Module) -> list[str]:
    """The last module of each stage, by timm's own account; of many blocks, five at even distances."""
    known = {name for name, _ in module.named_modules()}
    ends = [entry["module"] for entry in getattr(module, "feature_info", ())]
    ends = [name for name in ends if name in known]
    if len(ends) > MOST_STAGES:
        chosen = np.linspace(len(ends) - 1, 0, MOST_STAGES, endpoint=False).round().astype(int)
        ends = [ends[place] for place in reversed(chosen)]
    return ends


def _clear_before(module: nn.Module, path: list[str]) -> None:
    """Replace the module at `path` and everything that runs before it with nothing."""
    name, *rest = path
    for child in [child for child, _ in module.named_children()]:
        if child == name:
            break
        setattr(module, child, nn.Identity())
    if rest:
        _clear_before(module.get_submodule(name), rest)
    else:
        setattr(module, name, nn.Identity())


def _same_answers(cut: Cut) -> bool:
    """Whether both parts together give the whole network's scores, on two images of noise."""
    network = cut.network
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(2, 3, network.input_size, network.input_size, generator=generator).to(network.device)
    network.module.eval()
    with torch.inference_mode():
        whole = network.module(batch)
        try:
            parts = cut.trained_part().module(cut.frozen_part(batch))
        except (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError) as error:
            # whatever a module says to inputs that it does not expect
            log.debug("cut failed", extra={"after": cut.after, "error": str(error)})
            return False
    return parts.shape == whole.shape and bool((parts - whole).abs().max() <= TOLERANCE * whole.abs().max())


class FrozenBelow:
    """What the frozen stages make of other inputs, computed for every batch anew: for more images than memory holds."""

    def __init__(self, inputs: Inputs, cut: Cut) -> None:
        self._inputs = inputs
        self._cut = cut

    def training(self, places: Ints, generator: torch.Generator) -> torch.Tensor:
        return self._through(self._inputs.training(places, generator))

    def plain(self, places: Ints) -> torch.Tensor:
        return self._through(self._inputs.plain(places))

    def _through(self, batch: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), autocast(batch.device, exact=self._cut.exact):
            maps = self._cut.frozen_part(batch)
        # as wide as what trains computes with: half the memory, and the same numbers after its first layer
        return maps.bfloat16() if self._cut.exact and has_fast_bfloat16(batch.device.type) else maps


class Activations:
    """What the frozen stages make of every image, in a few random views: [views, N, ...] in memory.

    View 0 is the plain image. Training draws a view for each image; validation reads view 0.
    """

    def __init__(self, views: torch.Tensor, *, device: torch.device) -> None:
        self._flat = views.flatten(0, 1)
        self._views, self._count = views.shape[:2]
        self._device = device

    def training(self, places: Ints, generator: torch.Generator) -> torch.Tensor:
        chosen = torch.randint(self._views, (len(places),), generator=generator)
        return self._rows(chosen * self._count + torch.from_numpy(np.asarray(places, dtype=np.int64)))

    def plain(self, places: Ints) -> torch.Tensor:
        return self._rows(torch.from_numpy(np.asarray(places, dtype=np.int64)))

    def _rows(self, rows: torch.Tensor) -> torch.Tensor:
        chosen = self._flat.index_select(0, rows).to(self._device)
        # kept as [H, W, C], for that is how a convolution reads them fastest
        return chosen.permute(0, 3, 1, 2) if chosen.ndim == 4 else chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewsSize:
    """How many places are seen, in how many random views beside the plain one, and how many at once."""

    count: int
    views: int
    batch_size: int = BATCH_SIZE


def compute_activations(inputs: Inputs, cut: Cut, *, size: ViewsSize, seed: int, control: RunControl) -> Activations:
    """Push places 0..count-1 through the frozen stages: plain, and in random views.

    Raises:
        JobCancelled, DeadlineExceeded: through `control`, between batches.
    """
    generator = torch.Generator().manual_seed(seed)
    below = FrozenBelow(inputs, cut)
    kept: torch.Tensor | None = None
    for view in range(size.views + 1):
        for start in range(0, size.count, size.batch_size):
            control.check()
            places = np.arange(start, min(start + size.batch_size, size.count))
            rows = _stored(below.training(places, generator) if view else below.plain(places))
            if kept is None:
                kept = torch.empty((size.views + 1, size.count, *rows.shape[1:]), dtype=rows.dtype)
            kept[view, start : start + len(rows)] = rows
    if kept is None:
        raise ValueError("no image to compute")
    return Activations(kept, device=cut.network.device)


def bytes_per_view(cut: Cut, inputs: Inputs) -> int:
    """Bytes that one view of one image takes in memory."""
    row: Any = _stored(FrozenBelow(inputs, cut).plain(np.arange(1)))
    return int(row.numel() * row.element_size())


def _stored(batch: torch.Tensor) -> torch.Tensor:
    """As it is kept: in memory of the host, pixels' channels last."""
    batch = batch.detach().cpu()
    return batch.permute(0, 2, 3, 1).contiguous() if batch.ndim == 4 else batch
