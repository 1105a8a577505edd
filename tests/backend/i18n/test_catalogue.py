"""The catalogue against the source: nothing that is said is missing, nothing is left over, no place is lost."""

import ast
import inspect
import json
import re
import zipfile
from http import HTTPStatus
from pathlib import Path

import pytest
import starlette.formparsers
from pydantic_core._pydantic_core import list_all_errors

from backend.i18n.catalogue import Catalogue, read_catalogue
from backend.i18n.languages import TRANSLATED, catalogue_of
from backend.i18n.numbers import GERMAN
from backend.i18n.template import normalised
from tests import sentences_said

NOT_SAID = json.loads(Path(__file__).with_name("not_said.json").read_text(encoding="utf-8"))
FOLDER = Path(sentences_said.BACKEND) / "i18n"
# Not in our source: where FastAPI says a field is missing from, and what pydantic calls a too short or long value.
FRAMEWORK_WORDS = {"query", "header", "body", "path", "list", "tuple", "dictionary", "set"}
# Python 3.13 renamed some.
OTHER_PHRASES = {
    *("Content Too Large", "Request Entity Too Large", "Unprocessable Content", "Unprocessable Entity"),
    *("Range Not Satisfiable", "Requested Range Not Satisfiable"),
}
FRAMEWORK_FILES = ("framework.json", "pydantic.json")


@pytest.fixture(params=sorted(TRANSLATED))
def language(request):
    return request.param


@pytest.fixture
def catalogue(language):
    return catalogue_of(language)


def of_the_framework(language):
    return {
        key for name in FRAMEWORK_FILES for key in json.loads((FOLDER / language / name).read_text(encoding="utf-8"))
    }


def listed():
    return {text for texts in NOT_SAID.values() for text in texts}


def test_every_sentence_that_is_said_has_its_words_in_each_language(catalogue):
    known = catalogue.sentences.keys() | catalogue.words.keys() | listed()
    missing = {text: place for text, place in sentences_said.sentences().items() if text not in known}
    assert missing == {}, (
        "write each of them into backend/i18n/de/ROOM.json (places: {0} a name, {0:t} a text of the catalogue, {0:n} a "
        "number), or, where no person reads it, into tests/backend/i18n/not_said.json"
    )


def test_no_sentence_is_left_over(catalogue, language):
    said = sentences_said.literals().keys() | of_the_framework(language)
    assert catalogue.sentences.keys() - said == set()
    assert catalogue.words.keys() - said - FRAMEWORK_WORDS == set()


def test_what_is_not_said_is_in_the_source_and_not_in_a_catalogue(catalogue):
    assert listed() - sentences_said.sentences().keys() == set()
    assert listed() & (catalogue.sentences.keys() | catalogue.words.keys()) == set()


def test_each_sentence_keeps_its_places(catalogue):
    wrong = {
        template.english: template.other
        for template in catalogue.sentences.values()
        if set(template.kinds) != set(range(template.places)) or not template.other.strip()
    }
    assert wrong == {}


def test_no_template_is_so_general_that_it_fits_anything(catalogue):
    general = [text for text in catalogue.sentences if len(re.sub(r"\{\}|\s", "", text)) < 1]
    assert general == []


def test_quoted_names_addresses_and_settings_are_the_same_in_both(catalogue):
    """What is typed or sent stays: 'exclude', GET /api/cv/jobs, SIGHTGLASS_DATA_DIR, train.csv."""
    fixed = re.compile(r"SIGHTGLASS_\w+|/api/[\w/{}=?-]+|'[a-z_]+'|(?<![\w}])--?[a-z][a-z-]+")
    lost = {
        text: mark
        for text, template in catalogue.sentences.items()
        for mark in fixed.findall(text)
        if "{}" not in mark and mark not in template.other
    }
    assert lost == {}


def test_pydantic_says_what_the_catalogue_expects_of_it(language):
    theirs = {
        lowered(normalised(re.sub(r"\{\w+\}", "{}", error[key]).replace("{}{}", "{}")))
        for error in list_all_errors()
        for key in ("message_template_python", "message_template_json")
        if key in error
    }
    plural = {text for base in theirs for text in (base.replace("r{}", "r"), base.replace("r{}", "rs"))}
    plural |= {text for base in theirs for text in (base.replace("item{}", "item"), base.replace("item{}", "items"))}
    keys = json.loads((FOLDER / language / "pydantic.json").read_text(encoding="utf-8")).keys()
    assert keys - plural - theirs - {"input should be null"} == set()


def test_the_framework_says_what_the_catalogue_expects_of_it(language):
    keys = json.loads((FOLDER / language / "framework.json").read_text(encoding="utf-8")).keys()
    phrases = {status.phrase for status in HTTPStatus} | OTHER_PHRASES
    sources = inspect.getsource(starlette.formparsers) + inspect.getsource(json.decoder) + inspect.getsource(zipfile)
    unknown = [key for key in keys - phrases if not all(part in sources for part in key.split("{}"))]
    assert unknown == []


def test_the_walk_sees_what_is_planted():
    planted = '''
def f(x, n):
    """A docstring that nobody is told."""
    logger.warning("a line of the log", extra={"why": "said to nobody"})
    note = "A whole sentence."
    raise InputError(f"'{x}' has {n:,} of {len(x)}{x}{n}; send " "less.")
'''
    found = {normalised(text) for text, _ in sentences_said._of(ast.parse(planted))}
    assert {"A whole sentence.", "'{}' has {} of {}; send less."} <= found
    assert not any("docstring" in text or "log" in text or "nobody" in text for text in found)


def test_a_sentence_in_two_files_is_refused(tmp_path):
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text('{"Not found": "Nicht gefunden"}')
    (tmp_path / "words.json").write_text("{}")
    with pytest.raises(ValueError, match="twice"):
        read_catalogue(tmp_path, GERMAN)


def lowered(text):
    return text[:1].lower() + text[1:]


@pytest.fixture
def small():
    sentences = {
        "There is no class '{}'.{} It has: {}.": "Es gibt keine Klasse '{0}'.{1:t} Vorhanden: {2}.",
        "Did you mean '{}'?": "Meinten Sie '{0}'?",
        "The disk is full.": "Die Festplatte ist voll.",
        "Given up: {}.": "Aufgegeben: {0:t}.",
        "Seen: {} of {}.": "Gesehen: {0:n} von {1:n}.",
    }
    return Catalogue(sentences, {"more": "mehr"}, GERMAN)


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("The disk is full.", "Die Festplatte ist voll."),
        ("There is no class 'x'. It has: a, b.", "Es gibt keine Klasse 'x'. Vorhanden: a, b."),
        (
            "There is no class 'x'. Did you mean 'y'? It has: a.",
            "Es gibt keine Klasse 'x'. Meinten Sie 'y'? Vorhanden: a.",
        ),
        ("The disk is full. Did you mean 'x'?", "Die Festplatte ist voll. Meinten Sie 'x'?"),
        ("Given up: The disk is full.", "Aufgegeben: Die Festplatte ist voll."),
        ("Given up: something that nobody knows.", "Aufgegeben: something that nobody knows."),
        ("Seen: 1,234 of 0.5%.", "Gesehen: 1.234 von 0,5\u00a0%."),
    ],
)
def test_a_sentence_is_found_with_what_stands_in_its_places(small, english, german):
    assert small.translate(english) == german


@pytest.mark.parametrize(
    "text",
    [
        "",
        "An unknown text.",
        "The disk is full. An unknown text.",  # half of it would be in another language
        "more",  # a word by itself may be a value
        "Seen: many of 3.",  # no number
        "There is no class 'x'. It has: y'. It has: z.",  # two readings
        "x" * 5000,
    ],
)
def test_what_is_unknown_or_uncertain_stays_english(small, text):
    assert small.translate(text) == text


def test_a_class_named_like_a_sentence_keeps_its_name(small):
    assert small.translate("There is no class 'The disk is full.'. It has: Given up: x., more.") == (
        "Es gibt keine Klasse 'The disk is full.'. Vorhanden: Given up: x., more."
    )
