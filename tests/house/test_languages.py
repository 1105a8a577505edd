"""Every text stands in every language, is used, and gets what it asks for; and no text stands in the code."""

from __future__ import annotations

import ast
import json
import re
import string
from pathlib import Path

import pytest

from frontend.i18n.catalogue import FALLBACK, LANGUAGES, texts

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"
FILES = {language: FRONTEND / "i18n" / f"{language}.json" for language in LANGUAGES}
OTHERS = [language for language in LANGUAGES if language != FALLBACK]
# Functions that take a key, and which of their arguments it is.
TAKE_A_KEY = {"t": 0, "say": 1}
# What these say is read by people: Streamlit's calls by the name of the method, and of their arguments those named.
DRAWS = {
    *("title", "header", "subheader", "markdown", "caption", "text", "write", "error", "warning", "info", "success"),
    *("button", "download_button", "form_submit_button", "link_button", "toggle", "checkbox", "radio", "selectbox"),
    *("multiselect", "slider", "select_slider", "number_input", "text_input", "text_area", "file_uploader", "metric"),
    *("camera_input", "segmented_control", "pills", "expander", "popover", "spinner", "progress", "toast", "tabs"),
    *("TextColumn", "NumberColumn", "ProgressColumn", "DatetimeColumn", "Column", "Page", "ApiError"),
}
READ = {"label", "help", "placeholder", "caption", "alt", "title", "text", "name", "xaxis_title", "yaxis_title"}
# Texts that are the same in both languages, and rightly so: names, symbols, and words that German shares.
SHARED = {
    "de": {
        *("table_model.baseline", "metric.r2", "recipe.overrides_placeholder", "results.run_entry", "cell.answer"),
        *("labels.label", "weights.imagenet", "leaderboard.ensemble", "column.strategy", "column.f1"),
        *("chart.train_loss", "predict.model_entry", "predict.similar_one", "versions.number", "insights.pair"),
        "chart.size_hover",
    }
}


def trees():
    for path in FRONTEND.rglob("*.py"):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def name_of(call):
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def calls(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def constants(node):
    """The strings that an expression may be: itself, or either side of a choice."""
    if isinstance(node, ast.IfExp):
        return [*constants(node.body), *constants(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) else []


def literal_keys():
    """Keys given as plain strings, what comes with them, and the files that use them."""
    for path, tree in trees():
        for call in calls(tree):
            place = TAKE_A_KEY.get(name_of(call))
            if place is not None and isinstance(call.func, ast.Name) and len(call.args) > place:
                for key in constants(call.args[place]):
                    yield key, {keyword.arg for keyword in call.keywords}, path.name


def built_prefixes():
    """The fixed beginnings of keys that are built, such as f"tab.{name}", and of `name_of("state", ...)`."""
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                yield str(node.values[0].value)
            if isinstance(node, ast.Call) and name_of(node) == "name_of":
                yield f"{node.args[0].value}."
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):  # marks["format.group"]
                yield str(node.slice.value)


def forms(text):
    return text if isinstance(text, dict) else {"": text}


def placeholders(text):
    """`{names}` and Plotly's `%{names}` of all forms of a text."""
    whole = " ".join(forms(text).values())
    return {field for _, field, _, _ in string.Formatter().parse(re.sub(r"%\{.*?\}", "", whole)) if field}


def differences(text, other):
    """How another language's text does not fit the English one: its forms, what is filled in, code, emphasis."""
    found = [] if set(forms(text)) == set(forms(other)) else ["forms"]
    for form in set(forms(text)) & set(forms(other)):
        ours, theirs = forms(text)[form], forms(other)[form]
        for what, pattern in (("placeholders", r"%?\{[^}]*\}"), ("code", r"`[^`]*`"), ("bold", r"\*\*")):
            if sorted(re.findall(pattern, ours)) != sorted(re.findall(pattern, theirs)):
                found.append(what)
    return found


def written_out(node):
    """Words of two letters and more that an expression puts on the screen itself, outside `:symbols:` and code."""
    if isinstance(node, ast.Call | ast.Lambda):
        return []  # what a function says is judged where it says it
    pieces = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    inside = {id(part) for one in ast.walk(node) if isinstance(one, ast.Call) for part in ast.walk(one)}
    if isinstance(node, ast.JoinedStr):
        pieces = [
            one.value
            for one in ast.walk(node)
            if isinstance(one, ast.Constant) and isinstance(one.value, str) and id(one) not in inside
        ]
    text = re.sub(r":[\w/]+(\[|:)|<[^>]*>|%\{[^}]*\}|`[^`]*`", "", " ".join(pieces))
    return re.findall(r"[A-Za-zÄÖÜäöüß]{2,}", text)


def texts_in_code(tree):
    for call in calls(tree):
        drawn = call.args[:1] if name_of(call) in DRAWS and len(call.args) else []
        named = [keyword.value for keyword in call.keywords if keyword.arg in READ and name_of(call) != "Thread"]
        for node in [*drawn, *named]:
            if isinstance(node, ast.Constant | ast.JoinedStr) and written_out(node):
                yield ast.unparse(node)


def test_every_key_that_the_code_names_has_a_text():
    assert {(key, where) for key, _, where in literal_keys() if key not in texts(FALLBACK)} == set()


def test_every_text_gets_the_values_that_it_asks_for():
    wrong = {
        (key, where) for key, given, where in literal_keys() if not placeholders(texts(FALLBACK)[key]) <= given | {None}
    }
    assert wrong == set()


def test_no_text_lies_idle():
    named = {key for key, _, _ in literal_keys()}
    prefixes = tuple({prefix for prefix in built_prefixes() if "." in prefix})
    assert {key for key in texts(FALLBACK) if key not in named and not key.startswith(prefixes)} == set()


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_the_keys_of_english_and_no_others(language):
    assert set(texts(language)) ^ set(texts(FALLBACK)) == set()


@pytest.mark.parametrize("language", OTHERS)
def test_a_text_has_the_forms_and_placeholders_of_the_english_one(language):
    wrong = {key: differences(text, texts(language)[key]) for key, text in texts(FALLBACK).items()}
    # how a language writes numbers is its own
    assert {key: what for key, what in wrong.items() if what and not key.startswith("format.")} == {}


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_was_left_in_english(language):
    ours = texts(FALLBACK)
    same = {key for key, text in texts(language).items() if text == ours[key] and not key.startswith("format.")}
    assert same == SHARED[language]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_key_stands_twice_in_a_file(language):
    pairs = []
    json.loads(FILES[language].read_text(encoding="utf-8"), object_pairs_hook=lambda found: pairs.extend(found) or {})
    keys = [key for key, _ in pairs if key not in ("one", "other")]
    assert len(keys) == len(set(keys))


def test_every_file_of_texts_is_a_language_that_can_be_chosen():
    assert {path.stem for path in (FRONTEND / "i18n").glob("*.json")} == set(LANGUAGES)


@pytest.mark.parametrize("language", OTHERS)
def test_the_stage_at_which_a_clock_stands_is_called_as_the_service_calls_it(language):
    """It comes from the service in the reader's language, and is compared."""
    said = FRONTEND.parent / "backend" / "i18n" / language / "search.json"
    assert (
        json.loads(said.read_text(encoding="utf-8"))[texts(FALLBACK)["stage.paused"]] == texts(language)["stage.paused"]
    )


def test_no_text_stands_in_the_code():
    found = {(path.name, text) for path, tree in trees() for text in texts_in_code(tree)}
    assert found == {("brand.py", "'Sightglass'")}


def test_a_text_that_does_not_fit_would_be_noticed():
    assert differences("{a} of `b`", "{a} von `b`") == []
    assert differences("{a} **of** `b`", "{b} von `c`") == ["placeholders", "code", "bold"]
    assert differences({"one": "x", "other": "{count}"}, "{count}") == ["forms"]
    assert differences("%{x}: {a}", "{a}: %{y}") == ["placeholders"]


@pytest.mark.parametrize(
    ("code", "texts_found"),
    [
        ("st.header('Hello there')", 1),
        ("st.button(t('a.b'), help='Press it')", 1),
        ("raise ApiError(f'No answer from {url}')", 1),
        ("st.markdown(f'**{plain(name)}** · {t(\"a.b\")}')", 0),
        ("st.button(t('a.b'), icon=':material/add:', key='add')", 0),
        ("figure.update_xaxes(title='Width')", 1),
    ],
)
def test_a_text_in_the_code_would_be_noticed(code, texts_found):
    assert len(list(texts_in_code(ast.parse(code)))) == texts_found
