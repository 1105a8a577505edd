"""The one choice that matters: what the run is for, and what each answer stands for. Numbers come from the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from frontend.answers import Preset
from frontend.i18n import has, t
from frontend.widgets.wording import seconds

PLAIN_FINETUNE = "finetune"  # the strategy has the same name


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What was chosen.

    Attributes:
        name: a preset's name, or that of the plain fine-tune.
        recipe: what goes into the recipe for it.
        fine_tunes: whether any network is trained beyond its last layer.
        time_budget_s: seconds that the run may take where nobody says; None without a limit.
        ensemble: whether several networks may answer together where nobody says.
        sets: what the preset itself sets of a recipe.
        models: networks of its own; None: the defaults.
    """

    name: str
    recipe: dict[str, Any] = field(default_factory=dict)
    fine_tunes: bool = True
    time_budget_s: float | None = None
    ensemble: bool = False
    sets: dict[str, Any] = field(default_factory=dict)
    models: list[str] | None = None

    @property
    def own(self) -> str:
        """What tells its fields from those of other intents, where it begins with choices of its own; else empty."""
        return f"-{self.name}" if self.sets else ""

    @property
    def is_plain(self) -> bool:
        return self.name == PLAIN_FINETUNE

    @property
    def trains_by_epochs(self) -> bool:
        """Whether networks are trained as a whole, for a number of epochs that a person may choose."""
        return self.is_plain or self.sets.get("strategy") == PLAIN_FINETUNE


def choose(presets: Sequence[Preset]) -> Intent:
    """Draw the choice; each entry says in words and numbers what it stands for."""
    titles = {preset["name"]: _text(preset, "title") for preset in presets}
    titles[PLAIN_FINETUNE] = t("preset.finetune.title")
    captions = [f"{_text(preset, 'description')} *{facts(preset)}*" for preset in presets]
    captions.append(f"{t('preset.finetune.description')} *{t('preset.no_budget')}*")
    chosen = st.radio(
        t("train.intent"),
        list(titles),
        format_func=titles.__getitem__,
        captions=captions,
        key="intent",
        persist_state="session",
    )
    return intent_of(chosen, presets)


def intent_of(name: str, presets: Sequence[Preset]) -> Intent:
    """The intent of a preset's name, or of the plain fine-tune."""
    for preset in presets:
        if preset["name"] == name:
            return Intent(
                name=name,
                recipe={"strategy": "auto", "preset": name},
                fine_tunes=preset["refined"] > 0,
                time_budget_s=preset["time_budget_s"],
                ensemble=preset["ensemble"],
                sets=preset.get("recipe", {}),
                models=preset.get("models"),
            )
    return Intent(name=PLAIN_FINETUNE, recipe={"strategy": "finetune"})


def facts(preset: Preset) -> str:
    """What a preset stands for, in one line."""
    parts = [t("preset.budget", time=seconds(preset["time_budget_s"]))]
    if preset.get("recipe", {}).get("strategy") == "finetune":
        parts.append(t("preset.trained", epochs=preset["epochs"]))
    elif preset["refined"]:
        parts.append(t("preset.refined", count=preset["refined"], epochs=preset["epochs"]))
    if preset["tuning_trials"]:
        parts.append(t("preset.tuning", count=preset["tuning_trials"]))
    if preset["ensemble"]:
        parts.append(t("preset.ensemble"))
    return "; ".join(parts) + "."


def _text(preset: Preset, part: str) -> str:
    key = f"preset.{preset['name']}.{part}"
    return t(key) if has(key) else str(preset[part])  # type: ignore[literal-required]
