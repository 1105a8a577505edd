"""Every text on screen, by key, in the language of whoever looks: `t("upload.title")`.

The language belongs to the browser session and is looked up at each call, so that two people on one server never see
each other's. What a text is, and what stands in the files beside this one, is in `catalogue.py`.
"""

from __future__ import annotations

from typing import Any

from frontend import reader
from frontend.i18n.catalogue import FALLBACK, known, read_number, say, texts, write_number


def language() -> str:
    """The first of those asked for that there are texts of: a link's, the chosen one, the browser's; else English."""
    return next((name for wish in reader.languages_asked_for() if (name := known(wish))), FALLBACK)


def t(key: str, **values: Any) -> str:
    """The text of a key; a text that is not translated yet appears in English.

    Raises:
        KeyError: the key stands in no language.
    """
    return say(language(), key, **values)


def has(key: str) -> bool:
    """Whether there is a text of that key; for names that the API may add to, such as augmentations."""
    return key in texts(FALLBACK)


def written(value: float, spec: str) -> str:
    """A number by Python's format `spec`, such as `,.1f` or `g`, as the reader writes it."""
    return write_number(language(), value, spec)


def read(text: str) -> str:
    """A number that the reader typed, as programs write it; anything else as it is."""
    return read_number(language(), text)
