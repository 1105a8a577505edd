"""What each preset of strategy "auto" stands for: how deep it looks, how long it may take. Pure data, free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from backend.contracts import Preset, Recipe

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


DEPTHS: dict[Preset, Depth] = {
    "fast": Depth(refined=0, epochs=0, tuning_trials=0, mixing=False, ensemble=False, time_budget_s=10 * MINUTE),
    "balanced": Depth(refined=1, epochs=6, tuning_trials=0, mixing=False, ensemble=False, time_budget_s=30 * MINUTE),
    "best": Depth(refined=3, epochs=12, tuning_trials=8, mixing=True, ensemble=True, time_budget_s=120 * MINUTE),
    # one network, trained as a whole: `contracts.presets` says how, for its recipe has strategy finetune
    "defects": Depth(refined=1, epochs=20, tuning_trials=0, mixing=False, ensemble=False, time_budget_s=120 * MINUTE),
}

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
