"""The product in German, in a real Chromium: found by the browser's language, chosen in the sidebar, kept in a cookie."""

from __future__ import annotations

import random
import re
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import expect

from tests.browser.test_tables import train_on
from tests.browser.test_walk import assert_no_traceback, settle, width_at_rest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]

SAMPLE = Path(__file__).resolve().parents[2] / "sample_datasets" / "shapes.zip"
NO_BREAK = "\N{NO-BREAK SPACE}"


@pytest.fixture
def visit(browser, product):
    """Open an address of the page in a browser of some language, with cookies if they are given."""
    contexts = []

    def open_at(path="", *, locale="de-AT", cookie=None, width=1280):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, locale=locale, timezone_id="Europe/Berlin"
        )
        contexts.append(context)
        context.set_default_timeout(120_000)
        if cookie is not None:
            context.add_cookies([{"name": "sightglass_language", "value": cookie, "url": product.page_url}])
        page = context.new_page()
        page.goto(f"{product.page_url}/{path}")
        return page

    yield open_at
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def dataset(product):
    """The sample, uploaded without the page."""
    files = {"file": ("shapes.zip", SAMPLE.read_bytes())}
    return httpx2.post(f"{product.api_url}/api/cv/upload", files=files, timeout=120).json()


def invited(page, words):
    expect(page.get_by_role("heading", name=words)).to_be_visible(timeout=120_000)
    settle(page)


IN_GERMAN, IN_ENGLISH = "Beginnen Sie mit einer ZIP-Datei voller Bilder", "Start with a ZIP of pictures"


def choose_in_sidebar(page, language):
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_test_id("stSidebar").get_by_text(language, exact=True).click()


def test_a_german_browser_gets_german_and_may_choose_english_for_good(visit):
    page = visit()
    invited(page, IN_GERMAN)
    page.wait_for_function("document.documentElement.lang == 'de'")
    expect(page.get_by_role("link", name="Tabellen")).to_be_visible()
    choose_in_sidebar(page, "English")
    invited(page, IN_ENGLISH)
    page.wait_for_function("document.documentElement.lang == 'en' && document.cookie.includes('language=en')")
    page.reload()
    invited(page, IN_ENGLISH)
    beside = page.context.new_page()  # another browser tab
    beside.goto(page.url.partition("?")[0] + "tables")
    invited(beside, "A table in, a model out")


def test_two_people_at_once_have_each_their_own_language(visit, dataset):
    german, english = visit(f"?tab=upload&dataset={dataset['dataset_id']}"), visit("tables", locale="en-GB")
    invited(english, "A table in, a model out")
    expect(german.get_by_role("heading", name="Bilder je Klasse")).to_be_visible()
    english.get_by_role("link", name="Images").click()
    invited(english, IN_ENGLISH)
    german.get_by_role("link", name="Tabellen").click()
    invited(german, "Tabelle hinein, Modell heraus")


@pytest.mark.parametrize(
    ("path", "locale", "cookie", "words"),
    [
        ("", "fr-FR", None, IN_ENGLISH),
        ("", "de-DE", "xx", IN_GERMAN),  # what is remembered and not known falls back to the browser's
        ("", "en-US", "de", IN_GERMAN),
        ("?lang=de", "en-US", "en", IN_GERMAN),
        ("?lang=../en", "en-US", "<script>", IN_ENGLISH),
    ],
)
def test_link_cookie_and_browser_decide_in_this_order(visit, path, locale, cookie, words):
    invited(visit(path, locale=locale, cookie=cookie), words)


def test_a_language_by_link_stays_on_the_next_page(visit):
    page = visit("?lang=de", locale="en-US")
    invited(page, IN_GERMAN)
    page.get_by_role("link", name="Tabellen").click()
    invited(page, "Tabelle hinein, Modell heraus")


def test_the_drop_zone_speaks_german(visit):
    page = visit()
    invited(page, IN_GERMAN)
    page.wait_for_function(
        """[...document.querySelectorAll('[data-testid=stFileUploaderDropzone] :is(button p, span)')]
        .map(one => getComputedStyle(one, '::after').content).filter(words => words.startsWith('"'))
        .join(' ') === '"Auswählen" "oder hierher ziehen"'"""
    )


def test_no_german_word_is_wider_than_a_phone(visit, dataset):
    page = visit(f"?tab=upload&dataset={dataset['dataset_id']}", width=390)
    tabs = page.locator(".st-key-tab-control button")
    names = {"insights": "Einblicke", "train": "Training", "results": "Ergebnisse", "predictions": "Vorhersagen"}
    for tab, name in {**names, "models": "Modelle"}.items():
        tabs.filter(has_text=name).click()
        expect(page).to_have_url(re.compile(f"tab={tab}"))
        settle(page)
        assert width_at_rest(page) <= 390, name
    places = tabs.evaluate_all(
        "all => all.map(one => [one.getBoundingClientRect().right, one.scrollWidth - one.clientWidth])"
    )
    assert len(places) == 6
    assert all(right <= 390 and cut <= 0 for right, cut in places)


def numbers_in_german():
    generator = random.Random(0)
    rows = ["stadt;einkommen;kauft"]
    for _ in range(120):
        city, income = generator.choice(["Ulm", "Köln"]), generator.randint(10_000, 90_000) / 10
        rows.append(f"{city};{income:.1f};{'ja' if city == 'Ulm' else 'nein'}".replace(".", ","))
    return "\n".join(rows).encode("cp1252")


def test_a_table_in_german_goes_in_and_answers_in_german(visit, product):
    page = visit("tables")
    invited(page, "Tabelle hinein, Modell heraus")
    results = train_on(
        page,
        product,
        numbers_in_german(),
        columns="Was die Spalten sind",
        start="Training starten",
        board="Rangliste",
    )
    best = next(row for row in results["leaderboard"] if row["name"] == results["best_model"])
    score = f"{100 * best['score']:.1f}".replace(".", ",") + f"{NO_BREAK}%"
    expect(page.locator(".st-key-leaderboard").get_by_text(score, exact=True).first).to_be_visible()
    page.get_by_label("einkommen").fill("1.234,5")
    page.get_by_role("button", name=re.compile("Vorhersagen")).click()
    expect(page.get_by_role("heading", name=re.compile("^kauft: (ja|nein) · [0-9,]+\\s%"))).to_be_visible(
        timeout=60_000
    )
    assert_no_traceback(page)
