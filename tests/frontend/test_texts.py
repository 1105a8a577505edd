"""Texts and numbers: every key that the code uses exists, none lies idle, and numbers read alike everywhere."""

from __future__ import annotations

import ast
import string
from pathlib import Path

import pytest

from frontend.i18n import LANGUAGES, texts
from frontend.widgets import estimate
from frontend.widgets.wording import megabytes, millions, milliseconds, percent, plain, seconds, when

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"


def literal_keys():
    """Keys given to `t` as plain strings, with the places that use them."""
    for path in FRONTEND.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "t"
            for key in constants(node.args[0]) if is_call else ():
                yield key, {keyword.arg for keyword in node.keywords}, path.name


def constants(node):
    """The strings that an expression may be: itself, or either side of a choice."""
    if isinstance(node, ast.IfExp):
        return [*constants(node.body), *constants(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) else []


def built_prefixes():
    """The fixed beginnings of keys that are built, such as f"tab.{name}", and of `name_of("state", ...)`."""
    for path in FRONTEND.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                yield str(node.values[0].value)
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "name_of":
                yield f"{node.args[0].value}."


def placeholders(text):
    forms = text.values() if isinstance(text, dict) else [text]
    return {field for form in forms for _, field, _, _ in string.Formatter().parse(form) if field}


def test_every_key_that_the_code_names_has_a_text():
    assert {(key, where) for key, _, where in literal_keys() if key not in texts("en")} == set()


def test_every_text_gets_the_values_that_it_asks_for():
    wrong = {
        (key, where)
        for key, given, where in literal_keys()
        if not key.startswith("chart.") and placeholders(texts("en")[key]) - given
    }
    assert wrong == set()


def test_no_text_lies_idle():
    named = {key for key, _, _ in literal_keys()}
    prefixes = tuple({prefix for prefix in built_prefixes() if prefix.endswith(".") or "." in prefix})
    assert {key for key in texts("en") if key not in named and not key.startswith(prefixes)} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_no_key_that_english_lacks(language):
    assert set(texts(language)) <= set(texts("en"))


def test_an_unknown_language_is_english():
    assert texts("../en") is not None
    assert texts("xx") == texts("en")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (42, "42 s"),
        (185, "3 min 5 s"),
        (600, "10 min"),
        (7800, "2 h 10 min"),
        (None, "–"),
    ],
)
def test_durations_read_like_this(value, text):
    assert seconds(value) == text


def test_shares_and_sizes_read_like_this():
    assert (percent(0.9032), percent(1.0, digits=0), percent(None)) == ("90.3%", "100%", "–")
    assert (millions(4_652_008), milliseconds(18.34), milliseconds(1247.04)) == ("4.7 M", "18.3 ms", "1247 ms")
    assert megabytes(None) == "–"


def test_a_moment_without_a_zone_is_utc():
    assert when("2026-01-01T10:00:00") == when("2026-01-01T10:00:00Z")


def test_markdown_in_names_is_shown_and_code_stays_code():
    assert plain("__MACOSX/$a$ `b_c`") == r"\_\_MACOSX/\$a\$ `b_c`"


def test_the_estimate_grows_with_images_epochs_and_networks():
    last = {
        "total_seconds": 40.0,
        "split": {"train": 60, "val": 20, "test": 20},
        "recipe": {"strategy": "finetune", "num_epochs": 2},
        "leaderboard": [
            {"name": "resnet18", "strategy": "finetune", "status": "ok"},
            {"name": "vit_tiny", "strategy": "finetune", "status": "ok"},
            {"name": "vit_base", "strategy": "finetune", "status": "skipped"},
            {"name": "baseline", "strategy": "baseline", "status": "ok"},
        ],
    }
    longer = {"strategy": "finetune", "num_epochs": 4}
    assert estimate.estimate(last, images=200, recipe=longer, networks=2) == 160.0
    assert estimate.estimate(last, images=200, recipe=longer, networks=1) == 80.0
    assert estimate.estimate(last, images=200, recipe={"strategy": "auto", "preset": "fast"}, networks=2) is None
    assert estimate.estimate(None, images=200, recipe={}, networks=2) is None
