"""A table in, a model out, in a real Chromium; what stands on screen is compared with the API."""

from __future__ import annotations

import random
import re
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from playwright.sync_api import expect

from tests.browser.test_walk import TRAINING_MS, settle

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]


def people():
    generator = random.Random(0)
    rows = ["city;age;buys"]
    for _ in range(120):
        city, age = generator.choice(["Ulm", "Köln"]), generator.randint(18, 90)
        rows.append(f"{city};{age};{'ja' if city == 'Ulm' else 'nein'}")
    return "\n".join(rows).encode("cp1252")


def test_the_way_from_a_csv_to_an_answer(page, product):
    page.goto(f"{product.page_url}/tables")
    expect(page.get_by_role("heading", name="A table in, a model out")).to_be_visible(timeout=120_000)
    settle(page)
    page.locator("input[type=file]").first.set_input_files(
        {"name": "people.csv", "mimeType": "text/csv", "buffer": people()}
    )
    expect(page.get_by_role("heading", name="What the columns are")).to_be_visible(timeout=120_000)
    settle(page)
    page.get_by_text("20 s", exact=True).click()
    settle(page)
    page.get_by_role("button", name=re.compile("Start training")).click()
    expect(page.get_by_role("heading", name="Leaderboard")).to_be_visible(timeout=TRAINING_MS)
    settle(page)
    table = parse_qs(urlsplit(page.url).query)["table"][0]
    results = httpx2.get(f"{product.api_url}/api/tabular/results/{table}", timeout=120).json()
    right = round(100 * results["test"]["accuracy"])
    expect(page.get_by_role("heading", name=re.compile(f"{right} of 100 rows"))).to_be_visible()
    page.get_by_role("button", name=re.compile("Predict")).click()
    expect(page.get_by_role("heading", name=re.compile("^buys: (ja|nein) · "))).to_be_visible(timeout=120_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)
