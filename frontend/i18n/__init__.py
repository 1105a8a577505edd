"""Every text on screen, by key: `t("upload.title")`. One JSON file a language; English is complete by definition.

A text is a string with `{placeholders}`, or `{"one": ..., "other": ...}` chosen by `count`.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from frontend import state

LANGUAGES = {"en": "English"}
FALLBACK = "en"


def t(key: str, **values: Any) -> str:
    """The text of a key in the language of the URL; a text that is not translated yet appears in English.

    Raises:
        KeyError: the key stands in no language.
    """
    text = texts(state.language()).get(key, texts(FALLBACK)[key])
    if isinstance(text, dict):
        text = text["one" if values["count"] == 1 else "other"]
    return str(text).format(**values) if values else str(text)


def has(key: str) -> bool:
    """Whether there is a text of that key; for names that the API may add to, such as augmentations."""
    return key in texts(FALLBACK)


@lru_cache
def texts(language: str) -> dict[str, Any]:
    """All texts of a language; of English for one that is not known."""
    name = language if language in LANGUAGES else FALLBACK
    path = Path(__file__).with_name(f"{name}.json")
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
