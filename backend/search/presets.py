"""What each preset of strategy "auto" stands for: how deep it looks, how long it may take. Free of torch.

The numbers are those of `backend/engine/presets/preset/*.yaml`, section `search`; what else a preset says of a recipe,
`contracts.presets` reads from the same files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from backend.contracts import Preset, Recipe
from backend.contracts.presets import preset_entry

MINUTE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How far a run goes.

    Attributes:
        refined: networks that are fine-tuned from their probes, best first.
        epochs: of each such fine-tune.
        tuning_trials: fine-tunes with other settings that Optuna may try on the best network.
        mixing: whether fine-tunes mix images (mixup, cutmix) and change them at random (RandAugment).
        ensemble: whether several networks may answer together, where nobody said.
        time_budget_s: seconds for everything, where nobody said.
    """

    refined: int
    epochs: int
    tuning_trials: int
    mixing: bool
    ensemble: bool
    time_budget_s: float


DEPTHS: dict[Preset, Depth] = {name: Depth(**preset_entry(name).search) for name in get_args(Preset)}

PLAIN = Depth(refined=0, epochs=0, tuning_trials=0, mixing=False, ensemble=False, time_budget_s=float("inf"))


def depth_of(recipe: Recipe) -> Depth:
    """The preset's depth under strategy "auto", and that of defects; the plain strategies do what they say."""
    return DEPTHS[recipe.preset] if recipe.strategy == "auto" or recipe.preset == "defects" else PLAIN


def time_budget(recipe: Recipe) -> float | None:
    """Seconds that a run may take in all, or None without a limit."""
    if recipe.time_budget_s is not None:
        return recipe.time_budget_s
    budget = depth_of(recipe).time_budget_s
    return None if budget == float("inf") else budget


def allows_ensemble(recipe: Recipe) -> bool:
    """Whether the user accepts an answer that costs several networks."""
    return depth_of(recipe).ensemble if recipe.ensemble is None else recipe.ensemble
