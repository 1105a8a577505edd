"""The training form. Fields, bounds and defaults come from `GET /api/cv/options` and the registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from frontend.answers import CandidateAnswer, DatasetAnswer, OptionsAnswer, Preset
from frontend.i18n import has, t
from frontend.widgets import expert_settings
from frontend.widgets.wording import millions, weights

PLAIN_FINETUNE = "finetune"
# Numbers of the recipe that have a field, in this order; the rest of the schema has a field of its own kind below.
NUMBERS = ("num_epochs", "batch_size", "test_size", "seed")


def intent_choice(presets: Sequence[Preset]) -> dict[str, Any]:
    """One choice by intent; what goes into the recipe for it."""
    titles = {preset["name"]: _preset_text(preset, "title") for preset in presets}
    captions = [_preset_text(preset, "description") for preset in presets]
    titles[PLAIN_FINETUNE] = t("preset.finetune.title")
    chosen = st.radio(
        t("train.intent"),
        list(titles),
        format_func=titles.__getitem__,
        captions=[*captions, t("preset.finetune.description")],
        key="intent",
        persist_state="session",
    )
    return {"strategy": "finetune"} if chosen == PLAIN_FINETUNE else {"strategy": "auto", "preset": chosen}


def advanced_fields(
    options: OptionsAnswer, candidates: Sequence[CandidateAnswer], dataset: DatasetAnswer
) -> dict[str, Any]:
    """Everything else; only what differs from the service's own choice is sent, so that its defaults stay its own."""
    schema = options["recipe_schema"]["properties"]
    recipe: dict[str, Any] = {}
    recipe |= _networks(candidates, _help("models", schema))
    left, right = st.columns(2)
    for place, name in enumerate(NUMBERS):
        with (left, right)[place % 2]:
            recipe[name] = _number(name, schema[name])
    recipe |= _budget(_help("time_budget_s", schema))
    recipe |= _augmentations(options, _help("augmentations", schema))
    recipe |= _classes(dataset, _help("classes", schema))
    recipe |= expert_settings.field(options.get("override_keys", []), _help("overrides", schema))
    return recipe


def _preset_text(preset: Preset, part: str) -> str:
    key = f"preset.{preset['name']}.{part}"
    return t(key) if has(key) else str(preset[part])  # type: ignore[literal-required]


def _help(name: str, schema: dict[str, Any]) -> str:
    """One line of help: ours where there is one, else the schema's."""
    key = f"recipe.{name}.help"
    return t(key) if has(key) else str(schema.get(name, {}).get("description", ""))


def _number(name: str, field: dict[str, Any]) -> int | float:
    """A number field with the schema's bounds, step and default."""
    is_whole = field["type"] == "integer"
    kind: Callable[[Any], int | float] = int if is_whole else float
    value: int | float = st.number_input(
        t(f"recipe.{name}"),
        min_value=kind(field["minimum"]),
        max_value=kind(field["maximum"]),
        value=kind(field["default"]),
        step=1 if is_whole else 0.05,
        key=f"recipe-{name}",
        help=_help(name, {name: field}),
        persist_state="session",
    )
    return value


def _networks(candidates: Sequence[CandidateAnswer], help_text: str) -> dict[str, Any]:
    by_name = {candidate["name"]: candidate for candidate in candidates}
    defaults = [candidate["name"] for candidate in candidates if candidate["default"]]
    chosen = st.multiselect(
        t("recipe.models"),
        list(by_name),
        default=defaults,
        format_func=lambda name: _network_entry(by_name[name]) if name in by_name else str(name),
        key="recipe-models",
        help=help_text,
        accept_new_options=True,
        placeholder=t("recipe.models_placeholder"),
        persist_state="session",
    )
    return {} if not chosen or set(chosen) == set(defaults) else {"models": chosen}


def _network_entry(candidate: CandidateAnswer) -> str:
    scratch = candidate["weights"] == "scratch"
    origin = t("recipe.from_scratch") if scratch else weights(candidate["weights"], candidate["weights_source"])
    return f"{candidate['name']} · {millions(candidate['parameters'])} · {origin}"


def _budget(help_text: str) -> dict[str, Any]:
    minutes = st.number_input(
        t("recipe.time_budget_s"),
        min_value=0.1,
        value=None,
        step=1.0,
        key="recipe-budget",
        help=help_text,
        placeholder=t("recipe.no_budget"),
        persist_state="session",
    )
    return {} if minutes is None else {"time_budget_s": 60.0 * minutes}


def _augmentations(options: OptionsAnswer, help_text: str) -> dict[str, Any]:
    """A checkbox for each change that the service knows, with its own line of help."""
    st.markdown(t("recipe.augmentations"), help=help_text)
    chosen, defaults = [], []
    columns = st.columns(2)
    for place, augmentation in enumerate(options["augmentations"]):
        name = augmentation["name"]
        title = t(f"augmentation.{name}") if has(f"augmentation.{name}") else name.replace("_", " ").capitalize()
        with columns[place % 2]:
            ticked = st.checkbox(
                title,
                value=augmentation["default"],
                key=f"augmentation-{name}",
                help=augmentation["description"],
                persist_state="session",
            )
        chosen += [name] if ticked else []
        defaults += [name] if augmentation["default"] else []
    return {} if chosen == defaults else {"augmentations": chosen}


def _classes(dataset: DatasetAnswer, help_text: str) -> dict[str, Any]:
    """All classes, unless some are chosen; the key holds the dataset, so that another one starts afresh."""
    chosen = st.multiselect(
        t("recipe.classes"),
        sorted(dataset["class_counts"]),
        key=f"recipe-classes-{dataset['dataset_id']}",
        help=help_text,
        placeholder=t("recipe.all_classes"),
        persist_state="session",
    )
    return {"classes": chosen} if chosen else {}
