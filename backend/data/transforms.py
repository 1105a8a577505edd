"""Images as tensors: normalisation, and random changes for training that are reproducible from a seed.

It does not know the network. Every image of a batch draws its own change from the generator, so that one seed gives one
result on every device; torchvision's transforms would give the whole batch the same change from a global state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torchvision.transforms.v2 import RandAugment
from torchvision.transforms.v2 import functional as tv

from backend.contracts import Preprocessing
from backend.data.augmentation_catalogue import AUGMENTATION_CATALOGUE
from backend.data.preprocessing import choose_preprocessing
from backend.registry import Registry

__all__ = ["AUGMENTATIONS", "Augmentation", "augment", "choose_preprocessing", "normalise", "rand_augment"]

CROP_AREA = (0.7, 1.0)
CROP_ASPECT = (3 / 4, 4 / 3)  # Szegedy et al. 2015, as torchvision's RandomResizedCrop
MOST_DEGREES = 15.0
JITTER = 0.2
ERASED_AREA = (0.02, 0.2)
ERASED_ASPECT = (0.3, 3.3)  # Zhong et al. 2017, "Random Erasing Data Augmentation"


def normalise(batch: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Return float32 [N, 3, H, W] in channels-last memory from uint8 [N, H, W, 3]: (x / 255 - mean) / std."""
    mean = torch.tensor(preprocessing.mean, device=batch.device).view(1, 3, 1, 1)
    std = torch.tensor(preprocessing.std, device=batch.device).view(1, 3, 1, 1)
    scaled = batch.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last).div(255.0)
    return scaled.sub_(mean).div_(std)


@dataclass(frozen=True)
class Augmentation:
    """One random change. `apply` takes [N, 3, H, W], uint8 or float in 0..1, and returns a tensor of the same kind."""

    name: str
    description: str
    default: bool
    apply: Callable[[Tensor, Generator], Tensor]


def augment(batch: Tensor, names: Sequence[str], generator: Generator) -> Tensor:
    """Return the batch [N, 3, H, W] with the named changes made in the catalogue's order; the input stays as it is.

    Raises:
        RecipeError: an unknown name.
    """
    chosen = {AUGMENTATIONS.get(name).name for name in names}
    for entry in AUGMENTATIONS:
        if entry.name in chosen:
            batch = entry.apply(batch, generator)
    return batch


def rand_augment(batch: Tensor, generator: Generator, *, magnitude: int) -> Tensor:
    """RandAugment (Cubuk et al. 2020, torchvision's): two random changes of each image uint8 [3, H, W], by strength."""
    change = RandAugment(num_ops=2, magnitude=magnitude)
    # it draws from torch's global state, which is put back as it was
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        return torch.stack([change(image) for image in batch])


def _uniform(generator: Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _coin(count: int, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator) < 0.5


def _each(change: Callable[[Tensor, Generator], Tensor]) -> Callable[[Tensor, Generator], Tensor]:
    """Make a change of one image [3, H, W] a change of a batch."""

    def apply(batch: Tensor, generator: Generator) -> Tensor:
        return torch.stack([change(image, generator) for image in batch]) if len(batch) else batch

    return apply


def horizontal_flip(batch: Tensor, generator: Generator) -> Tensor:
    turned = _coin(len(batch), generator).to(batch.device).view(-1, 1, 1, 1)
    return torch.where(turned, batch.flip(-1), batch)


def vertical_flip(batch: Tensor, generator: Generator) -> Tensor:
    turned = _coin(len(batch), generator).to(batch.device).view(-1, 1, 1, 1)
    return torch.where(turned, batch.flip(-2), batch)


def random_resized_crop(image: Tensor, generator: Generator) -> Tensor:
    top, left, height, width = _box(image, generator, area=CROP_AREA, aspect=CROP_ASPECT)
    size = list(image.shape[-2:])
    changed: Tensor = tv.resized_crop(image, top, left, height, width, size, antialias=True)
    return changed


def rotation(image: Tensor, generator: Generator) -> Tensor:
    angle = _uniform(generator, -MOST_DEGREES, MOST_DEGREES)
    changed: Tensor = tv.rotate(image, angle, interpolation=tv.InterpolationMode.BILINEAR, fill=_mean_colour(image))
    return changed


def color_jitter(image: Tensor, generator: Generator) -> Tensor:
    changed = image
    for adjust in (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation):
        changed = adjust(changed, _uniform(generator, 1 - JITTER, 1 + JITTER))
    return changed


def brightness(image: Tensor, generator: Generator) -> Tensor:
    changed: Tensor = tv.adjust_brightness(image, _uniform(generator, 1 - JITTER, 1 + JITTER))
    return changed


def random_erasing(image: Tensor, generator: Generator) -> Tensor:
    covered = bool(_coin(1, generator))
    # The box is drawn in any case: what later images get must not depend on this coin.
    top, left, height, width = _box(image, generator, area=ERASED_AREA, aspect=ERASED_ASPECT)
    if not covered:
        return image
    colour = torch.tensor(_mean_colour(image), device=image.device).to(image.dtype).view(3, 1, 1)
    changed: Tensor = tv.erase(image, top, left, height, width, colour)
    return changed


def _box(
    image: Tensor, generator: Generator, *, area: tuple[float, float], aspect: tuple[float, float]
) -> tuple[int, int, int, int]:
    """Draw top, left, height and width of a part of the image with a share of its area, log-uniform in shape."""
    rows, columns = image.shape[-2:]
    pixels = rows * columns * _uniform(generator, *area)
    ratio = math.exp(_uniform(generator, math.log(aspect[0]), math.log(aspect[1])))
    width = min(columns, max(1, round(math.sqrt(pixels * ratio))))
    height = min(rows, max(1, round(pixels / width)))
    width = min(columns, max(1, round(pixels / height)))  # where the height was cut, the width makes up for it
    top = int(_uniform(generator, 0, rows - height + 1))
    left = int(_uniform(generator, 0, columns - width + 1))
    return top, left, height, width


def _mean_colour(image: Tensor) -> list[float]:
    colour: list[float] = image.to(torch.float32).mean(dim=(-2, -1)).tolist()
    return colour


AUGMENTATIONS: Registry[Augmentation] = Registry("augmentation")
for _name, _apply in (
    ("horizontal_flip", horizontal_flip),
    ("vertical_flip", vertical_flip),
    ("random_resized_crop", _each(random_resized_crop)),
    ("rotation", _each(rotation)),
    ("color_jitter", _each(color_jitter)),
    ("brightness", _each(brightness)),
    ("random_erasing", _each(random_erasing)),
):
    _entry = AUGMENTATION_CATALOGUE.get(_name)
    AUGMENTATIONS.register(_name, Augmentation(_name, _entry.description, _entry.default, _apply))
