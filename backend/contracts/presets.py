"""Short names for settings, and what a preset says of a recipe where nobody else did. It computes nothing.

What each preset says stands in `backend/engine/presets/*.yaml`, for API, UI and command line alike; here it is read
with a plain YAML reader, for the API process must be up fast. A recipe is settled when it is read, so that a stored one
says in full what was done, and reading it again changes nothing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from backend.contracts.base import Record

PRESETS_FOLDER: Final = Path(__file__).resolve().parents[1] / "engine" / "presets"

# Dotted words that mean a field of the recipe, so that a whole run can be written as dotted keys.
FIELD_KEYS: Final[dict[str, str]] = {
    "experiment.seed": "seed",
    "data.batch_size": "batch_size",
    "data.test_size": "test_size",
    "data.classes": "classes",
    "data.version": "dataset_version",
    "model.name": "models",
    "training.strategy": "strategy",
    "training.num_epochs": "num_epochs",
    "training.time_budget_s": "time_budget_s",
    "training.class_balance": "class_balance",
    "training.rank_by": "rank_by",
    "training.ensemble": "ensemble",
    "augment.names": "augmentations",
}
LISTS: Final = frozenset({"models", "classes", "augmentations"})  # fields where one word is a list of one
# Dotted words that mean another dotted key: one place holds each number.
OTHER_NAMES: Final[dict[str, str]] = {
    "optimizer.lr": "finetune.backbone_lr",
    "optimizer.weight_decay": "finetune.weight_decay",
    "training.warmup_epochs": "finetune.warmup_epochs",
    "training.early_stopping_patience": "finetune.patience",
    "training.accumulate": "finetune.accumulate",
    "model.freeze_backbone": "finetune.freeze_backbone",
    "model.frozen_stride": "finetune.frozen_stride",
}
AUGMENT: Final = "augment."  # augment.<name>=true or false: one random change more, or less
ABOUT: Final = "about"  # a preset in words
SEARCH: Final = "search"  # how deep strategy auto looks: `search.presets` reads it
NO_SETTINGS: Final = frozenset({"preset", ABOUT, SEARCH})  # of a preset's file


class PresetEntry(Record):
    """One preset's file. `values` are fields of a recipe, its `overrides` among them."""

    name: str
    title: str
    description: str
    search: dict[str, Any]
    values: dict[str, Any]


@cache
def preset_entry(name: str) -> PresetEntry:
    """What `backend/engine/presets/preset/<name>.yaml` says.

    Raises:
        FileNotFoundError: the installation lacks the file.
    """
    file = PRESETS_FOLDER / "preset" / f"{name}.yaml"
    said: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    about = said[ABOUT]
    return PresetEntry(
        name=name,
        title=about["title"],
        description=about["description"],
        search=said[SEARCH],
        values=values_of(said),
    )


def values_of(said: dict[str, Any]) -> dict[str, Any]:
    """The recipe's values in a preset's file, or in what was composed of one."""
    flat = flattened({key: value for key, value in said.items() if key not in NO_SETTINGS})
    return renamed({"overrides": flat}) if flat else {}


@cache
def preset_names() -> frozenset[str]:
    """Every preset that has a file."""
    return frozenset(file.stem for file in (PRESETS_FOLDER / "preset").glob("*.yaml"))


def flattened(sections: dict[str, Any]) -> dict[str, Any]:
    """`{"loss": {"gamma": 2}}` becomes `{"loss.gamma": 2}`."""
    flat: dict[str, Any] = {}
    for section, said in sections.items():
        if isinstance(said, dict):
            flat |= {f"{section}.{key}": value for key, value in said.items()}
        else:
            flat[section] = said
    return flat


def settled(values: dict[str, Any]) -> dict[str, Any]:
    """A recipe's raw values, dotted words for fields moved to them, and the preset's filled in.

    Raises:
        ValueError: two names of one thing say different things.
    """
    if not isinstance(values.get("overrides", {}), dict):
        return values  # the recipe's own check names what is wrong
    values = renamed(values)
    preset = values.get("preset")
    known = isinstance(preset, str) and preset in preset_names()
    chosen = preset_entry(preset).values if known else {}
    overrides = values.get("overrides", {})
    if values.get("strategy", "auto") == "auto" or values["strategy"] == chosen.get("strategy"):
        if "strategy" in chosen and values.get("strategy") == "auto":
            del values["strategy"]
        overrides = {**chosen.get("overrides", {}), **overrides}
        values = {**chosen, **values}
    if overrides or "overrides" in values:
        values["overrides"] = overrides
    return values


def renamed(values: dict[str, Any]) -> dict[str, Any]:
    """The same values with every dotted word in its place: a field, or the key that holds the number.

    Raises:
        ValueError: two names of one thing say different things.
    """
    values = dict(values)
    overrides: dict[str, Any] = {}
    for word, said in (values.get("overrides") or {}).items():
        key = OTHER_NAMES.get(str(word), str(word))
        if key in FIELD_KEYS:
            _put(values, FIELD_KEYS[key], said, word=key)
        elif key in overrides and overrides[key] != said:
            raise ValueError(
                f"'{word}' is {said!r} and '{key}' is {overrides[key]!r}, which mean the same; say it once"
            )
        else:
            overrides[key] = said
    if overrides or values.get("overrides") is not None:
        values["overrides"] = overrides
    return values


def _put(values: dict[str, Any], field: str, said: Any, *, word: str) -> None:
    said = [said] if field in LISTS and isinstance(said, str) else said
    there = values.get(field)
    if field in values and (list(there) if isinstance(there, tuple) else there) != said:
        raise ValueError(f"'{word}' is {said!r} and '{field}' is {there!r}: say it once")
    values[field] = said


def dotted_words() -> list[str]:
    """Every dotted word that stands for something else."""
    return [*FIELD_KEYS, *OTHER_NAMES]


def as_sections(values: dict[str, Any]) -> dict[str, Any]:
    """A recipe's values as a configuration with sections: what `flattened` and `renamed` undo."""
    words = {field: key for key, field in FIELD_KEYS.items()} | {key: word for word, key in OTHER_NAMES.items()}
    flat = {key: said for key, said in values.items() if key != "overrides"} | values.get("overrides", {})
    sections: dict[str, Any] = {}
    for key, said in flat.items():
        section, dot, name = words.get(key, key).partition(".")
        if dot:
            sections.setdefault(section, {})[name] = said
        else:
            sections[section] = said
    return sections
