"""A table in, a model out, in a real Chromium; what stands on screen is compared with the API."""

from __future__ import annotations

import random
import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_walk import TRAINING_MS, answer, assert_no_traceback, parameter, settle

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]


def people():
    generator = random.Random(0)
    rows = ["city;age;buys"]
    for _ in range(120):
        city, age = generator.choice(["Ulm", "Köln"]), generator.randint(18, 90)
        rows.append(f"{city};{age};{'ja' if city == 'Ulm' else 'nein'}")
    return "\n".join(rows).encode("cp1252")


def train_on(page, product, rows, *, columns, start, board):
    """From a file to the leaderboard on a page of any language, named by its headings; what the API says of it."""
    page.locator("input[type=file]").first.set_input_files(
        {"name": "people.csv", "mimeType": "text/csv", "buffer": rows}
    )
    expect(page.get_by_role("heading", name=columns)).to_be_visible(timeout=240_000)
    settle(page)
    page.get_by_text("20 s", exact=True).click()
    settle(page)
    page.get_by_role("button", name=re.compile(start)).click()
    expect(page.get_by_role("heading", name=board)).to_be_visible(timeout=TRAINING_MS)
    settle(page)
    return answer(product, f"/api/tabular/results/{parameter(page, 'table')}")


def test_the_way_from_a_csv_to_an_answer(page, product):
    page.goto(f"{product.page_url}/tables")
    expect(page.get_by_role("heading", name="A table in, a model out")).to_be_visible(timeout=120_000)
    settle(page)
    results = train_on(
        page, product, people(), columns="What the columns are", start="Start training", board="Leaderboard"
    )
    right = round(100 * results["test"]["accuracy"])
    expect(page.get_by_role("heading", name=re.compile(f"{right} of 100 rows"))).to_be_visible()
    page.get_by_role("button", name=re.compile("Predict")).click()
    expect(page.get_by_role("heading", name=re.compile("^buys: (ja|nein) · "))).to_be_visible(timeout=120_000)
    assert_no_traceback(page)
