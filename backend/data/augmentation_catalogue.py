"""The random changes that training may make to images, as data: what API, CLI and UI list. No torch here.

`backend.data.transforms` holds the function of each; a test checks that the two agree.
"""

from __future__ import annotations

from backend.contracts import Recipe, Record
from backend.registry import Registry


class AugmentationEntry(Record):
    """One random change. `default`: used where a recipe names none."""

    name: str
    description: str
    default: bool = False


AUGMENTATION_CATALOGUE: Registry[AugmentationEntry] = Registry("augmentation")
for _entry in (
    AugmentationEntry(
        name="horizontal_flip",
        description="Mirrors left and right in half of the images. Leave out where sides matter, as in text or digits.",
        default=True,
    ),
    AugmentationEntry(
        name="vertical_flip",
        description="Turns half of the images upside down. For pictures without an up: surfaces, cells, aerial views.",
    ),
    AugmentationEntry(
        name="random_resized_crop",
        description="Shows a random part of 70-100% of the area, at full size: position and scale matter less.",
        default=True,
    ),
    AugmentationEntry(
        name="rotation",
        description="Turns by up to 15 degrees either way. For objects that are not always upright.",
    ),
    AugmentationEntry(
        name="color_jitter",
        description="Changes brightness, contrast and saturation by up to 20%. Leave out where colour tells the class.",
    ),
    AugmentationEntry(
        name="brightness",
        description="Makes each image up to 20% darker or brighter: lamps age and drift, defects stay what they are.",
    ),
    AugmentationEntry(
        name="random_erasing",
        description="Covers 2-20% of the area of half of the images: the network learns to look at more than one spot.",
    ),
):
    AUGMENTATION_CATALOGUE.register(_entry.name, _entry)


def default_augmentations() -> tuple[str, ...]:
    """Names of those that a recipe without a choice uses."""
    return tuple(entry.name for entry in AUGMENTATION_CATALOGUE if entry.default)


def chosen_augmentations(recipe: Recipe) -> tuple[str, ...]:
    """Names of those that a recipe uses, in the catalogue's order: its list or the defaults, and its switches on top.

    Raises:
        RecipeError: an unknown name; the message names the nearest and all allowed ones.
    """
    names = set(default_augmentations() if recipe.augmentations is None else recipe.augmentations)
    switches = recipe.augmentation_switches
    for name in (*names, *switches):
        AUGMENTATION_CATALOGUE.get(name)
    names |= {name for name, on in switches.items() if on}
    names -= {name for name, on in switches.items() if not on}
    return tuple(name for name in AUGMENTATION_CATALOGUE.names() if name in names)


def as_applied(recipe: Recipe) -> Recipe:
    """The recipe with the random changes that a run by it makes as its list: its switches, and defaults of a fine-tune.

    A recipe that says nothing of them and fine-tunes nothing by itself stays as it is.
    """
    if recipe.augmentations is None and not recipe.augmentation_switches and recipe.strategy != "finetune":
        return recipe
    return recipe.model_copy(update={"augmentations": chosen_augmentations(recipe)})
