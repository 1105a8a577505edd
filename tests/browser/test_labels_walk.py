"""Strips of steel in a real Chromium: upload, train, what is found of each label, what mistakes cost, a prediction."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_walk import TRAINING_MS, answer, assert_no_traceback, parameter, settle, start_training
from tests.severstal_archive import severstal_zip, strip_jpeg

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]


def test_several_labels_the_whole_way(page, product, tmp_path):
    archive = tmp_path / "steel.zip"
    archive.write_bytes(severstal_zip(images=40))
    page.locator("input[type=file]").first.set_input_files(str(archive))
    expect(page.get_by_role("button", name=re.compile("Train on these images"))).to_be_visible(timeout=120_000)
    dataset_id = parameter(page, "dataset")

    page.get_by_text("Insights", exact=True).first.click()
    expect(page.get_by_text("Labels on the same images")).to_be_visible()
    page.get_by_text("Upload", exact=True).first.click()
    start_training(page, networks=["efficientnet_lite0"], dataset="steel")
    page.get_by_role("button", name=re.compile("See the results")).click(timeout=TRAINING_MS)
    expect(page.get_by_text(re.compile(r"finds \d+ of 10 of the labels on images it never saw"))).to_be_visible()

    results = answer(product, f"/api/cv/results/{dataset_id}")
    assert results["task"] == "multilabel"
    weakest = min(results["per_class"], key=lambda score: (score["f1"], score["recall"], score["label"]))
    found = answer(product, f"/api/cv/models/{results['model_id']}/thresholds")
    there = next(one for one in found["labels"] if one["label"] == weakest["label"])
    expect(page.get_by_text("One label closely")).to_be_visible()
    expect(page.get_by_text(re.compile(rf"There it finds \d+ of {there['support']}"))).to_be_visible()

    page.get_by_text("Draw the line by what mistakes cost").click()
    settle(page)
    expect(page.get_by_text(re.compile(r"From a probability of 0\.17 on:"))).to_be_visible()

    page.get_by_role("button", name=re.compile("Try it on a picture")).click()
    strip = tmp_path / "strip.jpg"
    strip.write_bytes(strip_jpeg("3"))
    page.locator("input[type=file]").first.set_input_files(str(strip))
    expect(page.get_by_text("✓ there").first).to_be_visible(timeout=120_000)
    assert_no_traceback(page)
