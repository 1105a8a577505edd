"""The way round in a real Chromium: upload, see the issues, exclude, train, correct labels, retrain, compare, add."""

from __future__ import annotations

import re
import zipfile

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.test_walk import TRAINING_MS, answer, assert_no_traceback, parameter, settle, start_training
from tests.conftest import draw_picture, png_bytes

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]

FLIPPED = 4


@pytest.fixture
def flawed_zip(tmp_path):
    """Circles and squares, a few circles in the folder of the squares, and a picture that shows nothing."""
    target = tmp_path / "shapes.zip"
    with zipfile.ZipFile(target, "w") as archive:
        for number in range(44):
            folder = "square" if number < FLIPPED else "circle"
            archive.writestr(f"{folder}/c{number}.png", png_bytes(draw_picture("circle", number)))
            archive.writestr(f"square/s{number}.png", png_bytes(draw_picture("square", 10_000 + number)))
        archive.writestr("square/black.png", png_bytes(Image.new("RGB", (48, 48))))
    return target


def more_pictures(tmp_path):
    target = tmp_path / "more.zip"
    with zipfile.ZipFile(target, "w") as archive:
        for number in range(100, 106):
            archive.writestr(f"circle/c{number}.png", png_bytes(draw_picture("circle", number)))
            archive.writestr(f"square/s{number}.png", png_bytes(draw_picture("square", 10_000 + number)))
    return target


def test_correct_train_again_and_compare(page, product, flawed_zip, tmp_path):
    page.locator("input[type=file]").first.set_input_files(str(flawed_zip))
    expect(page.get_by_role("button", name=re.compile("Train on these images"))).to_be_visible(timeout=120_000)
    dataset_id = parameter(page, "dataset")
    exclude_what_is_dark(page, product, dataset_id, tmp_path)
    page.get_by_text("Upload", exact=True).first.click()
    start_training(page, networks=["efficientnet_lite0"])
    see_results(page)

    results = answer(product, f"/api/cv/results/{dataset_id}")
    suspects = results["suspect_labels"][:12]
    assert suspects, "the flipped labels must be found, or there is nothing to walk through"
    expect(page.get_by_role("img", name=re.compile("^Image labelled"))).to_have_count(len(suspects))
    httpx2.post(f"{product.api_url}/api/cv/models/{results['model_id']}/promote", timeout=120).raise_for_status()

    page.get_by_role("button", name="Accept all suggestions here").click()
    settle(page)
    expect(page.get_by_text(f"Chosen: 0 to leave out, {len(suspects)} to relabel.")).to_be_visible()
    shot(page, tmp_path / "chosen.png")
    page.get_by_role("button", name=re.compile("Make a new version")).click()
    expect(page.get_by_text(re.compile("Version 3 is made"))).to_be_visible()
    shot(page, tmp_path / "made.png")
    changed = answer(product, f"/api/cv/datasets/{dataset_id}/diff")
    assert {one["image_id"] for one in changed["relabelled"]} == {one["image_id"] for one in suspects}

    # Streamlit keeps a second, hidden button where one has a help text
    page.locator(".st-key-retrain-made button").locator("visible=true").first.click()
    see_results(page)
    newest = answer(product, f"/api/cv/results/{dataset_id}")
    assert newest["dataset_version"] == 3
    compared(page, product, newest, champion=results["model_id"])
    shot(page, tmp_path / "compared.png")

    page.get_by_text("Upload", exact=True).first.click()
    page.get_by_text("Add images", exact=True).click()
    adding = page.get_by_test_id("stExpander").filter(has_text="Add images")
    adding.locator("input[type=file]").set_input_files(str(more_pictures(tmp_path)))
    expect(page.get_by_text("4 versions")).to_be_visible(timeout=120_000)
    page.get_by_text("4 versions").click()
    settle(page)
    shot(page, tmp_path / "versions.png")
    assert answer(product, f"/api/cv/datasets/{dataset_id}")["total_images"] == 88 + 12
    assert answer(product, f"/api/cv/datasets/{dataset_id}?version=1")["total_images"] == 89
    assert_no_traceback(page)


def exclude_what_is_dark(page, product, dataset_id, tmp_path):
    """The Insights tab names the dark picture; one click leaves it out."""
    page.get_by_text("Insights", exact=True).first.click()
    page.get_by_test_id("stButtonGroup").get_by_text(re.compile("^Dark")).click()
    settle(page)
    shot(page, tmp_path / "issues.png")
    page.locator(".st-key-issue-dark-exclude button").click()
    settle(page)
    expect(page.get_by_text("Chosen: 1 to leave out, 0 to relabel.")).to_be_visible()
    assert stops_of_thumbnails(page) == 0, "thirty thumbnails are no thirty stops on the keyboard's way"
    page.get_by_test_id("stImageContainer").last.hover()
    expect(page.locator("[data-testid=stFullScreenFrame]:hover button")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Chosen: 1 to leave out, 0 to relabel.")).to_be_visible()
    page.get_by_role("button", name=re.compile("Make a new version")).click()
    expect(page.get_by_text(re.compile("Version 2 is made: 88 images"))).to_be_visible()
    shot(page, tmp_path / "excluded.png")
    assert answer(product, f"/api/cv/datasets/{dataset_id}/diff")["counts"]["excluded"] == 1


def stops_of_thumbnails(page):
    """Buttons for the full screen that the keyboard would come to."""
    buttons = page.locator("button[aria-label^='Fullscreen: An image labelled']")
    assert buttons.count() > 1
    return sum(button.is_visible() for button in buttons.all())


def see_results(page):
    button = page.get_by_role("button", name=re.compile("See the results"))
    expect(button).to_be_visible(timeout=TRAINING_MS)
    button.click()
    expect(page.get_by_role("heading", name=re.compile("images it never saw"))).to_be_visible()
    settle(page)


def compared(page, product, results, *, champion):
    """What stands on the page is what the API says; the promoted model still answers."""
    comparison = answer(product, f"/api/cv/models/{results['model_id']}/compare")
    assert comparison["champion_id"] == champion
    assert comparison["left_out"] == 0
    expect(page.get_by_role("heading", name="Compared with the model before")).to_be_visible()
    expect(page.get_by_text(comparison["headline"])).to_be_visible()
    expect(page.get_by_text(comparison["by_class"])).to_be_visible()
    expect(page.get_by_text(re.compile(f"still use the promoted model {champion}"))).to_be_visible()


def shot(page, path):
    """For whoever wants to look: `pytest --basetemp=FOLDER` keeps them."""
    page.screenshot(path=str(path), full_page=True)
