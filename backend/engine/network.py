"""A network ready for work: a timm module with a head for our classes, and where its weights came from.

It does not train and does not know datasets.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import timm
import torch
from torch import nn

from backend.config import Settings
from backend.contracts import Task, WeightsKind, WeightsSource
from backend.engine.arithmetic import choose_device, place
from backend.engine.cbam import insert_cbam, require_stages
from backend.engine.models import TIMM_FAMILY, TIMM_PREFIX, ModelSpec, reads_tokens
from backend.engine.weights import load_weights
from backend.errors import RecipeError

Pooling = Literal["average", "max"]
TOKENS = ("vit_", "deit", "beit", "cait", "eva")


@dataclass(kw_only=True)
class Network:
    """A timm module with a linear classifier, and what one must know to feed it.

    `mean` and `std` are of RGB in 0..1; `input_size` is pixels a side. `model_args` are what `timm.create_model` needs
    besides the name and the number of classes; empty for every network of the catalogue. `task` decides how its scores
    become probabilities (`engine.activation`).
    """

    module: nn.Module
    spec: ModelSpec
    weights: WeightsKind
    weights_source: WeightsSource | None
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    input_size: int
    model_args: dict[str, Any] = field(default_factory=dict)
    cbam: tuple[str, ...] = ()
    task: Task = "multiclass"

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def head(self) -> nn.Linear:
        """The classifier: features [D] in, one score a class out."""
        classifier = self.module.get_classifier()  # type: ignore[operator]
        if not isinstance(classifier, nn.Linear):
            raise RecipeError(
                f"'{self.spec.name}' ends in {type(classifier).__name__}, not in one linear classifier, so it cannot "
                "be given a head for your classes. Choose another network."
            )
        return classifier

    @property
    def num_classes(self) -> int:
        return self.head.out_features


def create_network(
    spec: ModelSpec,
    *,
    num_classes: int,
    settings: Settings,
    seed: int,
    input_size: int | None = None,
    pooling: Pooling = "average",
) -> Network:
    """Build a network with the best weights to be had and a fresh head.

    The same seed gives the same fresh weights; the caller's random state is left alone. `input_size` differs from the
    spec's only where asked for. `pooling` is how a map of features becomes the row that the head reads.

    Raises:
        RecipeError: timm has no such network, it has no linear classifier, or no stages that a CBAM could follow.
        InputError: the file in the user's weights folder does not fit.
    """
    spec = resolve_spec(spec)
    size = input_size or spec.input_size
    model_args = _size_argument(spec, size) | _pooling_argument(spec, pooling)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = timm.create_model(spec.timm_name, num_classes=num_classes, **model_args)
    network = Network(
        module=module,
        spec=spec,
        weights="scratch",
        weights_source=None,
        mean=spec.mean,
        std=spec.std,
        input_size=size,
        model_args=model_args,
    )
    _ = network.head  # raises where there is none that can be replaced
    network.weights, network.weights_source = load_weights(spec, module, settings)
    if spec.cbam:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network.cbam = insert_cbam(module)
    network.module = place(module, choose_device()).eval()
    return network


def resolve_spec(spec: ModelSpec) -> ModelSpec:
    """Fill in what timm knows of a `timm:<name>`; entries of the catalogue are complete already.

    Raises:
        RecipeError: timm has no such network; the message names the nearest.
    """
    if spec.family != TIMM_FAMILY:
        return spec
    architecture = spec.timm_name.split(".")[0]
    # checked by name first: create_model would follow "hf-hub:" and "local-dir:" to wherever they lead
    if not timm.is_model(architecture):
        raise RecipeError(f"timm has no network '{spec.timm_name}'.{_nearest_timm(architecture)}")
    try:
        config = timm.get_pretrained_cfg(spec.timm_name)
    except RuntimeError as error:  # timm's word for an unknown tag
        raise RecipeError(f"timm has no '{spec.timm_name}': {error}. Leave out what follows the dot.") from error
    if config is None:
        return spec
    return replace(spec, hub_id=config.hf_hub_id, input_size=config.input_size[-1], mean=config.mean, std=config.std)


def _nearest_timm(architecture: str) -> str:
    close = difflib.get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.5)
    names = ", ".join(f"'{TIMM_PREFIX}{name}'" for name in close)
    return f" Did you mean {names}?" if close else " timm.list_models() lists what there is."


def _size_argument(spec: ModelSpec, size: int) -> dict[str, Any]:
    """`img_size` for networks whose weights are tied to a size, such as a ViT's positions; nothing for the others."""
    config = timm.get_pretrained_cfg(spec.timm_name)
    if config is None or size == config.input_size[-1] or not config.fixed_input_size:
        return {}
    return {"img_size": size}


def require_any_size(spec: ModelSpec) -> None:
    """Refuse a network that takes one size only.

    Raises:
        RecipeError: its weights are tied to the places of a square.
    """
    config = timm.get_pretrained_cfg(spec.timm_name)
    if config is not None and config.fixed_input_size:
        raise RecipeError(
            f"'{spec.name}' takes squares of {spec.input_size} pixels only, for its weights know each place by itself. "
            "Leave data.resolution at 'network', or choose a convolutional network (convnext_tiny, efficientnet_lite0, "
            "resnet18, ...)."
        )


def require_suited(spec: ModelSpec, *, pooling: Pooling, any_size: bool) -> None:
    """Refuse a network that cannot be what a recipe asks of it, without its weights and almost no memory.

    Raises:
        RecipeError: timm has no such network, or it takes one size only, has no maps of features, or no stages.
    """
    spec = resolve_spec(spec)
    if any_size:
        require_any_size(spec)
    arguments = _pooling_argument(spec, pooling)
    if spec.cbam:
        with torch.device("meta"):  # shapes alone
            require_stages(timm.create_model(spec.timm_name, **arguments))


def _pooling_argument(spec: ModelSpec, pooling: Pooling) -> dict[str, Any]:
    if pooling == "average":
        return {}
    if reads_tokens(spec) or spec.timm_name.startswith(TOKENS):
        raise RecipeError(
            f"'{spec.name}' reads tokens, not a map of features, so model.pooling '{pooling}' does not fit it. "
            "Leave it at 'average', or choose a convolutional network."
        )
    return {"global_pool": pooling}


def count_parameters(network: Network) -> int:
    """Number of weights, the head for our classes included."""
    return sum(parameter.numel() for parameter in network.module.parameters())
