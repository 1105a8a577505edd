"""Numbers, dates and names: they read alike on every screen, and as the reader of each language writes them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from frontend import reader
from frontend.i18n import catalogue, language, t
from frontend.i18n.catalogue import known, read_number, say, write_number
from frontend.widgets import estimate
from frontend.widgets.wording import (
    day,
    megabytes,
    millions,
    milliseconds,
    moment,
    percent,
    percents,
    plain,
    seconds,
    when,
)

NO_BREAK = "\N{NO-BREAK SPACE}"


@pytest.fixture
def german(monkeypatch):
    monkeypatch.setattr(reader, "languages_asked_for", lambda: ["de"])


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        ([None, None, None, "de-AT"], "de"),
        ([None, None, "../en", "DE_ch"], "de"),
        (["xx", "de", None, "en"], "de"),
        ([None, None, "klingon", "fr-FR", " fr", " de;q=0.5"[:3]], "de"),
        (["en-GB", "de", "de", "de"], "en"),
        ([None, None, "<script>", "", "*"], "en"),
        ([], "en"),
    ],
)
def test_the_first_known_language_of_those_asked_for_is_spoken(monkeypatch, asked, spoken):
    monkeypatch.setattr(reader, "languages_asked_for", lambda: asked)
    assert language() == spoken


def test_nothing_but_the_list_of_languages_names_a_file():
    assert known("../en") is known("") is known(None) is None
    assert catalogue.texts("../de") == catalogue.texts("en")


def test_what_a_language_lacks_is_said_in_english(monkeypatch):
    both = {"en": {"a": "only here", "format.group": ",", "format.decimal": "."}, "de": {}}
    monkeypatch.setattr(catalogue, "texts", both.__getitem__)
    assert say("de", "a") == "only here"
    with pytest.raises(KeyError):
        say("de", "b")


def test_numbers_in_a_text_are_written_as_its_language_writes_them():
    assert say("en", "versions.title", count=12_345) == "12,345 versions"
    assert say("de", "versions.title", count=12_345) == "12.345 Versionen"
    assert say("de", "versions.title", count=1) == "Eine Version"
    assert say("de", "versions.title", count=0) == "0 Versionen"
    assert say("de", "insights.sizes_text", width=0.5, height=3, least="1", most="2").startswith(
        "Die Hälfte der Bilder ist höchstens 0,5 Pixel"
    )
    assert write_number("de", -1234567.891, ",.2f") == "-1.234.567,89"


@pytest.mark.parametrize(
    ("name", "typed", "meant"),
    [
        ("de", "1.234,5", "1234.5"),
        ("de", "-0,25", "-0.25"),
        ("de", "1.234", "1234"),
        ("de", "3.5", "3.5"),
        ("de", "12345.678", "12345.678"),
        ("de", "", ""),
        ("de", "unbekannt", "unbekannt"),
        ("de", "nan", "nan"),
        ("en", "1,234.5", "1234.5"),
        ("en", "1,5", "1,5"),
        ("en", " 7 ", "7"),
    ],
)
def test_a_typed_number_is_read_as_its_writer_meant_it(name, typed, meant):
    assert read_number(name, typed) == meant


def test_german_numbers_durations_and_dates(german, monkeypatch):
    monkeypatch.setattr(reader, "timezone", lambda: ZoneInfo("Europe/Berlin"))
    assert percent(0.123) == f"12,3{NO_BREAK}%"
    assert percents(0.881, 0.9604) == f"88,1–96,0{NO_BREAK}%"
    assert (megabytes(1234.56), millions(4_652_008)) == ("1.234,6 MB", "4,7 Mio.")
    assert (seconds(9.94), seconds(185), milliseconds(18.34)) == ("9,9 s", "3 min 5 s", "18,3 ms")
    assert when("2026-11-21T13:05:00Z") == "21.11.2026, 14:05"
    assert day("2026-11-21") == "21.11.2026"
    assert t("upload.entry", name="a", images=2000, classes=2, when="–") == "a · 2.000 Bilder · 2 Klassen · –"


def test_a_moment_is_where_the_reader_is(monkeypatch):
    monkeypatch.setattr(reader, "timezone", lambda: ZoneInfo("Asia/Tokyo"))
    assert when("2026-11-21T20:30:00+00:00") == "2026-11-22 05:30"
    assert moment("2026-11-21T20:30:00").utcoffset() == datetime.now(ZoneInfo("Asia/Tokyo")).utcoffset()


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
