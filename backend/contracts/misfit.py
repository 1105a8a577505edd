"""What to say of a value that does not fit: what is allowed, what was seen, the nearest right word."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from backend.registry import nearest

LONGEST = 60  # characters of a value that are shown
WORD = re.compile(r"'([^']*)'")


def misfit(error: Mapping[str, Any], *, meaning: str = "", several: bool = False) -> str:
    """One error of pydantic's as the end of a sentence: `Input should be 'bce' or 'focal' (seen: "focl"). Did you ...`.

    `meaning` is the setting's own description; it stands where pydantic's words are none for a person, and where
    `several` kinds of value are allowed, of which its words name one.
    """
    seen = _seen(error.get("input"))
    said_badly = error["type"] == "string_pattern_mismatch" or (several and not nearest_allowed(error))
    if said_badly and meaning:
        return f"seen: {seen}. {meaning}"
    return f"{plain(error)} (seen: {seen}).{nearest_allowed(error)}"


def plain(error: Mapping[str, Any]) -> str:
    """What pydantic says; of a check of ours only what that says, without the name of its exception."""
    return str(error["ctx"]["error"] if error["type"] == "value_error" else error["msg"])


def nearest_allowed(error: Mapping[str, Any]) -> str:
    """`" Did you mean 'focal'?"` where one of some words was needed and another was seen that is near; else empty."""
    if error["type"] != "literal_error" or not isinstance(error.get("input"), str):
        return ""
    return nearest(error["input"], WORD.findall(error["ctx"]["expected"]))


def _seen(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=lambda other: type(other).__name__)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
