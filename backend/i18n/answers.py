"""Which texts of an answer are sentences: found by the names of their fields, never by what they hold.

It knows no HTTP. A field that people's own data stand under (classes, columns, rows, paths) is not looked into, so that
a column called `message` keeps its cells as they are. A test walks all records that are answered with, and fails on a
field with free names that is in none of the lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SENTENCES = frozenset(
    [
        *("title", "detail", "message", "error", "reason", "description", "tried", "strategy"),
        *("warnings", "notes", "note", "advice", "learning_curve_advice"),
        *("headline", "by_class", "words"),
    ]
)
# Names, rows and values that people chose, and what a program reads.
DATA = frozenset(
    [
        *("recipe", "recipe_schema", "values", "overrides", "payload", "loss", "search", "facts"),
        *("rows", "preview", "examples", "samples", "class_counts", "label_counts", "answers", "classes"),
        *("probs", "probabilities", "relabel", "history", "formats", "modes", "versions"),
    ]
)


def said(value: Any, translate: Callable[[str], str]) -> Any:
    """A JSON value with its sentences translated; all else is the same."""
    if isinstance(value, dict):
        return {name: _field(name, inner, translate) for name, inner in value.items()}
    if isinstance(value, list):
        return [said(inner, translate) for inner in value]
    return value


def _field(name: str, value: Any, translate: Callable[[str], str]) -> Any:
    if name in DATA:
        return value
    if name in SENTENCES:
        if isinstance(value, str):
            return translate(value)
        if isinstance(value, list):
            return [translate(inner) if isinstance(inner, str) else said(inner, translate) for inner in value]
    return said(value, translate)
