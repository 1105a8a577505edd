"""CBAM: attention over channels, then over places, put after the last two stages of a network (Woo et al. 2018).

A network with it begins as the function that it was without: each gate is twice a sigmoid and begins at exactly 1, for
the last layer before it begins at zero. The paper's plain sigmoids would halve every activation twice on the first step
and throw the pretrained weights out of balance; the constant factor of 4 between the two is what the next layer's
weights absorb. So whatever was known of the network without attention (its features, its head) holds at the start, and
what attention adds is learned.

It knows timm's way of naming stages, no data and no training. `exporters.standalone` carries a copy of the two modules,
so that a saved network opens without Sightglass; a test compares the two.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.errors import RecipeError

REDUCTION = 16  # of channels in the shared layer, as in the paper
LEAST_HIDDEN = 8
KERNEL = 7  # of the attention over places, as in the paper
STAGES = 2  # the last ones, which get an attention each: stages 3 and 4 of a ConvNeXt
NAME = "cbam"


class Cbam(nn.Module):
    """Features [N, C, H, W] in, the same with weighted channels and places out.

    Channels: 2 sigmoid(mlp(mean) + mlp(max)) over places, one shared mlp. Places: 2 sigmoid(conv7x7([mean, max])) over
    channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(LEAST_HIDDEN, channels // REDUCTION)
        self.squeeze = nn.Linear(channels, hidden)
        self.expand = nn.Linear(hidden, channels)
        self.places = nn.Conv2d(2, 1, KERNEL, padding=KERNEL // 2, bias=False)
        for weight in (self.expand.weight, self.expand.bias, self.places.weight):
            nn.init.zeros_(weight)

    def forward(self, features: Tensor) -> Tensor:
        mean, most = features.mean(dim=(2, 3)), features.amax(dim=(2, 3))
        channels = self._shared(mean) + self._shared(most)
        features = features * (2 * torch.sigmoid(channels))[:, :, None, None]
        seen = torch.cat([features.mean(dim=1, keepdim=True), features.amax(dim=1, keepdim=True)], dim=1)
        return features * (2 * torch.sigmoid(self.places(seen)))

    def _shared(self, pooled: Tensor) -> Tensor:
        out: Tensor = self.expand(torch.relu(self.squeeze(pooled)))
        return out


def insert_cbam(module: nn.Module) -> tuple[str, ...]:
    """Put attention after the last two stages of a timm network, in place; the names of the new modules.

    All other names stay as they are, so that weights of the network without attention still fit.

    Raises:
        RecipeError: the network has no stages of feature maps: a transformer, for one.
    """
    return tuple(_append(module, place) for place in _places(module))


def require_stages(module: nn.Module) -> None:
    """Raise where `insert_cbam` would, and change nothing.

    Raises:
        RecipeError: the network has no stages of feature maps.
    """
    _places(module)


def load_with_cbam(module: nn.Module, names: tuple[str, ...] | list[str]) -> None:
    """Put attention where a saved network had it. `names` are those that `insert_cbam` gave."""
    for name in names:
        path = name.rpartition(".")[0]
        stage = module.get_submodule(path)
        stage.add_module(NAME, Cbam(_channels_of(module, path)))


def cbam_names(module: nn.Module) -> tuple[str, ...]:
    """Where a network has attention."""
    return tuple(name for name, part in module.named_modules() if isinstance(part, Cbam))


def _append(module: nn.Module, path: str) -> str:
    stage = module.get_submodule(path)
    attention = Cbam(_channels_of(module, path))
    reference = next(stage.parameters())
    stage.add_module(NAME, attention.to(device=reference.device, dtype=reference.dtype))
    return f"{path}.{NAME}"


def _places(module: nn.Module) -> list[str]:
    """The sequences of blocks that end the last stages; whatever is appended to one runs after it."""
    if getattr(module, "output_fmt", "NCHW") != "NCHW":
        raise RecipeError(_refusal(module))
    found = []
    for path in _stages(module)[-STAGES:]:
        stage = module.get_submodule(path)
        inner = getattr(stage, "blocks", None)
        if isinstance(stage, nn.Sequential):
            found.append(path)
        elif isinstance(inner, nn.Sequential):
            found.append(f"{path}.blocks")
        else:
            raise RecipeError(_refusal(module))
    if len(found) < STAGES:
        raise RecipeError(_refusal(module))
    return found


def _stages(module: nn.Module) -> list[str]:
    known = {name for name, _ in module.named_modules()}
    return [entry["module"] for entry in getattr(module, "feature_info", ()) if entry["module"] in known]


def _channels_of(module: nn.Module, path: str) -> int:
    for entry in getattr(module, "feature_info", ()):
        if entry["module"] in {path, path.removesuffix(".blocks")}:
            return int(entry["num_chs"])
    raise RecipeError(_refusal(module))


def _refusal(module: nn.Module) -> str:
    return (
        f"{type(module).__name__} has no stages of feature maps that a CBAM could follow. Choose a convolutional "
        "network (convnext_tiny, efficientnet_lite0, resnet18, ...) or leave model.cbam out."
    )
