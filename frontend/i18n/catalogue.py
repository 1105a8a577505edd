"""The texts of all languages and how each writes numbers; pure functions of a language. Knows nothing of who reads.

A text is a string with `{placeholders}`, or `{"one": ..., "other": ...}` chosen by `count`. One JSON file a language;
English is complete by definition. What stands under `format.` is how the language writes numbers, shares and dates.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

# In their own words, so that whoever cannot read the page finds theirs.
LANGUAGES = {"en": "English", "de": "Deutsch"}
FALLBACK = "en"


def known(wish: str | None) -> str | None:
    """The language that a tag such as `de`, `de-AT` or `DE_ch` means; None where there are no texts of it."""
    name = (wish or "").replace("_", "-").partition("-")[0].strip().lower()
    return name if name in LANGUAGES else None


def say(language: str, key: str, **values: Any) -> str:
    """The text of a key in a language; a text that is not translated yet appears in English.

    Numbers among the values are written as the language writes them; what needs a fixed number of digits comes as text.

    Raises:
        KeyError: the key stands in no language.
    """
    text = texts(language).get(key, texts(FALLBACK)[key])
    if isinstance(text, dict):
        text = text["one" if values["count"] == 1 else "other"]
    if not values:
        return str(text)
    return str(text).format(**{name: _written(language, value) for name, value in values.items()})


@lru_cache
def texts(language: str) -> dict[str, Any]:
    """All texts of a language; of English for one that is not known."""
    name = language if language in LANGUAGES else FALLBACK
    path = Path(__file__).with_name(f"{name}.json")
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def write_number(language: str, value: float, spec: str) -> str:
    """A number by Python's format `spec`, such as `,.1f` or `g`, with the language's decimal sign and grouping."""
    marks = {".": texts(language)["format.decimal"], ",": texts(language)["format.group"]}
    return "".join(marks.get(sign, sign) for sign in format(value, spec))


def read_number(language: str, text: str) -> str:
    """A number that a person typed, as programs write it: German `1.234,5` becomes `1234.5`; other text stays as it is.

    Grouping counts only where it stands as people group, so that `1,5` in English is not taken for 15.
    """
    marks = texts(language)
    decimal, group = marks["format.decimal"], marks["format.group"]
    whole, _, rest = text.strip().partition(decimal)
    head, *groups = whole.split(group)
    grouped = all(len(part) == 3 and part.isdecimal() for part in groups)
    if not grouped or (groups and not 1 <= len(head.lstrip("+-")) <= 3):
        return text
    plain = head + "".join(groups) + (f".{rest}" if rest else "")
    try:
        float(plain)
    except ValueError:
        return text
    return plain


def _written(language: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return write_number(language, value, "," if isinstance(value, int) else "g")
