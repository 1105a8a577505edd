"""The recipe's `overrides` as lines of text: which there are, and how a line is read. The service judges them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import streamlit as st

from frontend.answers import OverrideKey
from frontend.i18n import t

Value = int | float | bool | str
WORDS = {"true": True, "false": False}


def field(keys: Sequence[OverrideKey], help_text: str) -> dict[str, Any]:
    """A small field for `key=value` lines, and the list of keys behind a button; what goes into the recipe."""
    if not keys:
        return {}
    example = keys[0]
    text = st.text_area(
        t("recipe.overrides"),
        key="recipe-overrides",
        help=help_text,
        height=100,
        placeholder=t("recipe.overrides_placeholder", name=example["name"], value=example["default"]),
        persist_state="session",
    )
    with st.popover(t("recipe.overrides_list"), icon=":material/list:", type="tertiary"):
        rows = [
            {
                t("column.setting"): f"`{entry['name']}`",
                t("column.default"): str(entry["default"]),
                t("column.meaning"): entry["description"],
            }
            for entry in keys
        ]
        st.table(rows, border="horizontal", hide_index=True, alt=t("recipe.overrides_list"))
    overrides = read_lines(text)
    return {"overrides": overrides} if overrides else {}


def read_lines(text: str) -> dict[str, Value]:
    """Each line's key and value; a line without a value keeps an empty one, which the service then names."""
    settings: dict[str, Value] = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if line.strip():
            settings[key.strip()] = read_value(value.strip())
    return settings


def read_value(text: str) -> Value:
    """A whole number, a number, true or false; anything else, and what JSON has no number for, stays text."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if math.isfinite(value):
            return value
    return text
