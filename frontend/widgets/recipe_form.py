"""The training form's advanced part. Fields, bounds and defaults come from `GET /api/cv/options` and the registry.

Only what means something for the chosen intent is offered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from frontend.answers import CandidateAnswer, DatasetAnswer, OptionsAnswer, OverrideKey
from frontend.i18n import has, t, written
from frontend.widgets import expert_settings
from frontend.widgets.intent import Intent
from frontend.widgets.wording import millions, name_of, weights

SECONDS_A_MINUTE = 60.0


def advanced_fields(
    options: OptionsAnswer, candidates: Sequence[CandidateAnswer], dataset: DatasetAnswer, *, intent: Intent
) -> dict[str, Any]:
    """Everything else; only what differs from the service's own choice is sent, so that its defaults stay its own."""
    schema = options["recipe_schema"]["properties"]
    recipe: dict[str, Any] = {}
    recipe |= _networks(candidates, intent, _help("models", schema))
    left, right = st.columns(2)
    with left:
        recipe |= _budget(intent, _help("time_budget_s", schema))
    for place, name in enumerate(_numbers(intent), start=1):
        with (left, right)[place % 2]:
            recipe[name] = _number(name, schema[name], intent)
    left, right = st.columns(2)
    with left:
        recipe |= _choice("class_balance", schema, words=lambda word: name_of("class_balance", word))
    with right:
        recipe |= _choice("rank_by", schema, words=lambda word: name_of("rank_by", word))
    recipe |= _ensemble(intent, _help("ensemble", schema))
    if intent.fine_tunes:
        recipe |= _augmentations(options, intent, _help("augmentations", schema))
    recipe |= _classes(dataset, _help("classes", schema))
    recipe |= expert_settings.field(_settings(options, intent), _help("overrides", schema))
    return recipe


def _numbers(intent: Intent) -> list[str]:
    """Numbers of the recipe that mean something here: a search after probes has epochs of its own."""
    return [
        *(["num_epochs"] if intent.trains_by_epochs else []),
        *(["batch_size"] if intent.fine_tunes else []),
        *(["test_size"] if "data.split" not in intent.sets.get("overrides", {}) else []),
        "seed",
    ]


def _settings(options: OptionsAnswer, intent: Intent) -> list[OverrideKey]:
    """Expert settings of what will happen: a plain fine-tune has no probe, and probes alone no fine-tune."""
    idle: tuple[str, ...] = () if intent.fine_tunes else ("finetune.", "refine.")
    if intent.is_plain:
        idle = ("probe.", "refine.")
    return [entry for entry in options.get("override_keys", []) if not entry["name"].startswith(idle)]


def _help(name: str, schema: dict[str, Any]) -> str:
    """One line of help: ours where there is one, else the schema's."""
    key = f"recipe.{name}.help"
    return t(key) if has(key) else str(schema.get(name, {}).get("description", ""))


def _number(name: str, field: dict[str, Any], intent: Intent) -> int | float:
    """A number field with the schema's bounds and step, and the intent's value, or else the schema's default."""
    is_whole = field["type"] == "integer"
    kind: Callable[[Any], int | float] = int if is_whole else float
    value: int | float = st.number_input(
        t(f"recipe.{name}"),
        min_value=kind(field["minimum"]),
        max_value=kind(field["maximum"]),
        value=kind(intent.sets.get(name, field["default"])),
        step=1 if is_whole else 0.05,
        key=f"recipe-{name}{intent.own if name in intent.sets else ''}",
        help=_help(name, {name: field}),
        persist_state="session",
    )
    return value


def _networks(candidates: Sequence[CandidateAnswer], intent: Intent, help_text: str) -> dict[str, Any]:
    by_name = {candidate["name"]: candidate for candidate in candidates}
    defaults = intent.models or [candidate["name"] for candidate in candidates if candidate["default"]]
    chosen = st.multiselect(
        t("recipe.models"),
        list(dict.fromkeys([*by_name, *defaults])),
        default=defaults,
        format_func=lambda name: _network_entry(by_name[name]) if name in by_name else str(name),
        key=f"recipe-models{intent.own}",
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


def _budget(intent: Intent, help_text: str) -> dict[str, Any]:
    own = intent.time_budget_s
    minutes = st.number_input(
        t("recipe.time_budget_s"),
        min_value=0.1,
        value=None,
        step=1.0,
        key="recipe-budget",
        help=help_text,
        placeholder=t("recipe.no_budget") if own is None else written(own / SECONDS_A_MINUTE, "g"),
        persist_state="session",
    )
    return {} if minutes is None else {"time_budget_s": SECONDS_A_MINUTE * minutes}


def _choice(name: str, schema: dict[str, Any], *, words: Callable[[str], str]) -> dict[str, Any]:
    """One of the schema's values, each in `words`."""
    field = schema[name]
    chosen = st.selectbox(
        t(f"recipe.{name}"),
        field["enum"],
        index=field["enum"].index(field["default"]),
        format_func=words,
        key=f"recipe-{name}",
        help=_help(name, schema),
        persist_state="session",
    )
    return {} if chosen == field["default"] else {name: chosen}


def _ensemble(intent: Intent, help_text: str) -> dict[str, Any]:
    """On or off; the key holds the intent, so that each begins with its own. What it costs is no secret."""
    allowed = st.toggle(
        t("recipe.ensemble"),
        value=intent.ensemble,
        key=f"recipe-ensemble-{intent.name}",
        help=help_text,
        persist_state="session",
    )
    st.caption(t("recipe.ensemble_cost"))
    return {} if allowed == intent.ensemble else {"ensemble": allowed}


def _augmentations(options: OptionsAnswer, intent: Intent, help_text: str) -> dict[str, Any]:
    """A checkbox for each change that the service knows, with its own line of help."""
    st.markdown(t("recipe.augmentations"), help=help_text)
    chosen, defaults, own = [], [], intent.sets.get("augmentations")
    columns = st.columns(2)
    for place, augmentation in enumerate(options["augmentations"]):
        name = augmentation["name"]
        title = t(f"augmentation.{name}") if has(f"augmentation.{name}") else name.replace("_", " ").capitalize()
        default = augmentation["default"] if own is None else name in own
        with columns[place % 2]:
            ticked = st.checkbox(
                title,
                value=default,
                key=f"augmentation-{name}{intent.own}",
                help=augmentation["description"],
                persist_state="session",
            )
        chosen += [name] if ticked else []
        defaults += [name] if default else []
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
