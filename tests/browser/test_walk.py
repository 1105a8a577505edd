"""A person's way through the real product in a real Chromium; what stands on screen is compared with the API."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from playwright.sync_api import expect

from tests.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]

TRAINING_MS = 600_000


def parameter(page, name):
    return parse_qs(urlsplit(page.url).query)[name][0]


def answer(product, path):
    response = httpx2.get(product.api_url + path, timeout=120)
    response.raise_for_status()
    return response.json()


def settle(page):
    """Wait until the page has been drawn to its end: a click takes a moment until it is seen to be drawn anew."""
    app = page.get_by_test_id("stApp")
    quiet = 0
    for _ in range(1200):
        expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=120_000)
        quiet = quiet + 1 if app.get_attribute("data-test-script-state") == "notRunning" else 0
        if quiet == 3:
            return
        page.wait_for_timeout(100)
    raise AssertionError("the page does not come to rest")


def upload_sample(page):
    page.get_by_role("button", name=re.compile("Shapes")).click()
    expect(page.get_by_role("button", name=re.compile("Train on these images"))).to_be_visible()


def start_training(page, *, networks, intent="Fast", dataset="shapes"):
    """Open Train and start with only these networks, so that the test stays short."""
    page.get_by_role("button", name=re.compile("Train on these images")).click()
    expect(page.get_by_role("heading", name=f"Train on {dataset}")).to_be_visible()
    settle(page)
    page.get_by_test_id("stRadio").get_by_text(intent, exact=True).click()
    settle(page)
    page.get_by_text("Advanced", exact=True).click()
    chosen = page.get_by_test_id("stMultiSelect").filter(has_text="Networks")
    chosen.get_by_label(re.compile("Clear all")).click()
    settle(page)
    for network in networks:
        field = chosen.get_by_role("combobox")
        field.click()
        field.fill(network)
        page.get_by_role("option", name=re.compile(f"^{network} ")).click()
        expect(chosen).to_contain_text(network)
        settle(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile("Start training")).click()
    expect(page.get_by_role("heading", name=f"Training on {dataset}")).to_be_visible()


def assert_no_traceback(page):
    expect(page.get_by_test_id("stException")).to_have_count(0)


@pytest.fixture(scope="module")
def trained(product):
    """The ids of a dataset and a job that the walk below has trained; the tests after it look at them."""
    return {}


def test_the_way_from_a_zip_to_an_answer_shows_the_api_s_numbers(page, product, trained):
    upload_sample(page)
    dataset = answer(product, f"/api/cv/datasets/{parameter(page, 'dataset')}")
    expect(page.get_by_text(f"{dataset['total_images']} images in {dataset['num_classes']} classes.")).to_be_visible()
    expect(page.get_by_role("img", name="Sample images of the class circle")).to_have_count(8)

    start_training(page, networks=["efficientnet_lite0"])
    expect(page.get_by_role("button", name=re.compile("See the results"))).to_be_visible(timeout=TRAINING_MS)
    trained |= {"dataset": parameter(page, "dataset"), "job": parameter(page, "job")}
    page.get_by_role("button", name=re.compile("See the results")).click()

    results = answer(product, f"/api/cv/jobs/{trained['job']}/results")
    compare_results(page, results)

    page.get_by_role("button", name=re.compile("Try it on a picture")).click()
    compare_prediction(page, product, dataset, results)
    assert_no_traceback(page)


def compare_results(page, results):
    test = results["test"]
    low, high = (round(100 * bound) for bound in test["accuracy_ci95"])
    sentence = f"{results['best_model']['name']} is right on {round(100 * test['accuracy'])} of 100 images"
    expect(
        page.get_by_role("heading", name=f"{sentence} it never saw, {low}–{high} with 95% confidence.")
    ).to_be_visible()
    table = page.get_by_test_id("stTable")
    rows = sorted(results["leaderboard"], key=lambda row: (row["rank"] is None, row["rank"] or 0))
    for place, row in enumerate(rows, start=1):
        shown = table.get_by_role("row").nth(place)
        expect(shown).to_contain_text("Baseline" if row["strategy"] == "baseline" else row["name"])
        if row["accuracy"] is not None:
            expect(shown).to_contain_text(f"{100 * row['accuracy']:.1f}%")
    matrix = results["confusion_matrix"]["matrix"]
    chart = page.get_by_test_id("stPlotlyChart").first
    expect(chart.locator(".annotation-text")).to_have_text([str(cell) for line in matrix for cell in line])
    compare_findings(page, results)


def compare_findings(page, results):
    """What the search says beyond the scores."""
    best = page.get_by_test_id("stTable").first.get_by_role("row").nth(1)
    expect(best).to_contain_text(results["leaderboard"][0]["tried"])
    expect(best).to_contain_text(f"{results['leaderboard'][0]['train_images']} images")
    calibration = results["calibration"]
    shown = page.locator(".st-key-confidence").get_by_role("row")
    expect(shown.nth(1)).to_contain_text(f"{100 * calibration['ece_before']:.1f}%")
    expect(shown.nth(2)).to_contain_text(f"{100 * calibration['ece_after']:.1f}%")
    expect(shown.nth(3)).to_contain_text(f"{results['test']['log_loss']:.3f}")
    expect(page.get_by_role("heading", name="Would more images help?")).to_be_visible()
    expect(page.get_by_text(results["learning_curve_advice"])).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Image labelled"))).to_have_count(
        len(results["suspect_labels"][:12])
    )


def compare_prediction(page, product, dataset, results):
    label, addresses = min(dataset["samples"].items())
    picture = httpx2.get(product.api_url + addresses[0].partition("?")[0], timeout=120).content
    page.get_by_label("One or several pictures").or_(page.locator("input[type=file]")).last.set_input_files(
        {"name": "question.png", "mimeType": "image/png", "buffer": picture}
    )
    expect(page.get_by_role("img", name="Heat map over the picture question.png")).to_be_visible(timeout=120_000)
    told = httpx2.post(
        f"{product.api_url}/api/cv/predict/{results['model_id']}", files={"file": picture}, timeout=120
    ).json()
    best = told["predictions"][0]
    expect(page.get_by_role("heading", name=f"{best['label']} · {100 * best['confidence']:.1f}%")).to_be_visible()
    for entry in told["predictions"]:
        bar = page.get_by_role("img", name=f"{entry['label']}: {100 * entry['confidence']:.1f}%")
        expect(bar).to_be_visible()
    assert label in results["class_names"]


def click_cell(page, labels, truth, predicted):
    """Click into the middle of a cell, as a person does: once the page lies still and the cell answers the mouse."""
    plot = page.get_by_test_id("stPlotlyChart").first.locator(".nsewdrag")
    column, row = labels.index(predicted) + 0.5, labels.index(truth) + 0.5
    told = page.locator(".hovertext").filter(has_text=truth)
    for nudge in range(240):
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        at = box["x"] + column * box["width"] / len(labels), box["y"] + row * box["height"] / len(labels)
        page.mouse.move(at[0] + nudge % 2, at[1])  # a mouse that stands still tells a chart drawn anew nothing
        page.wait_for_timeout(250)
        if told.is_visible() and plot.bounding_box() == box:
            break
    expect(told).to_be_visible()
    page.mouse.click(*at)


def choose(page, field, option):
    """By the keyboard alone: type the name, take what is found. A list closes when the page scrolls under it."""
    box = page.get_by_test_id("stSelectbox").filter(has_text=re.compile(f"^{field}")).get_by_role("combobox")
    found = page.get_by_role("option", name=re.compile(f"^{option}"))
    expect(page.get_by_test_id("stPlotlyChart").first.locator(".annotation-text").first).to_be_visible()
    box.scroll_into_view_if_needed()
    box.fill(option)
    for _ in range(100):
        page.wait_for_timeout(300)  # the scroll may still be under way
        if found.is_visible():
            break
        box.press("ArrowDown")
    box.press("Enter")
    expect(box).to_have_value(re.compile(f"^{option}"))


@pytest.mark.parametrize("way", ["click", "lists"])
def test_a_cell_of_the_confusion_matrix_shows_its_images(page, product, trained, way):
    results = answer(product, f"/api/cv/jobs/{trained['job']}/results")
    labels, matrix = results["confusion_matrix"]["labels"], results["confusion_matrix"]["matrix"]
    filled = [(i, j) for i, row in enumerate(matrix) for j, count in enumerate(row) if count]
    row, column = filled[-1] if way == "click" else filled[0]
    truth, predicted = labels[row], labels[column]
    page.goto(f"{product.page_url}/?tab=results&job={trained['job']}&dataset={trained['dataset']}")
    expect(page.get_by_role("heading", name="How it was done")).to_be_visible()
    settle(page)
    if way == "click":
        click_cell(page, labels, truth, predicted)
    else:
        choose(page, "Truth", truth)
        settle(page)
        choose(page, "Answer", predicted)
    images = page.get_by_role("img", name=f"Test image of the class {truth}, taken for {predicted}", exact=True)
    expect(images).to_have_count(matrix[row][column])
    query = f"label={truth}&predicted={predicted}"
    told = answer(product, f"/api/cv/jobs/{trained['job']}/test-predictions?{query}")
    assert told["total"] == matrix[row][column]
    shares = [f"{100 * image['confidence']:.0f}%" for image in told["images"]]
    expect(page.locator(".st-key-cell-images").get_by_test_id("stImageCaption")).to_have_text(shares)
    assert_no_traceback(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pale_cells_have_the_page_s_text_colour_and_dark_ones_white(browser, product, trained, theme):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=theme, locale="en-US")
    page = context.new_page()
    page.goto(f"{product.page_url}/?tab=results&job={trained['job']}&dataset={trained['dataset']}")
    numbers = page.get_by_test_id("stPlotlyChart").first.locator(".annotation-text")
    matrix = answer(product, f"/api/cv/jobs/{trained['job']}/results")["confusion_matrix"]["matrix"]
    expect(numbers).to_have_count(sum(map(len, matrix)), timeout=120_000)
    settle(page)
    text = page.get_by_test_id("stApp").evaluate("element => getComputedStyle(element).color")
    shown = numbers.evaluate_all("all => all.map(one => getComputedStyle(one).fill)")
    assert shown == ["rgb(255, 255, 255)" if count > sum(row) / 2 else text for row in matrix for count in row]
    context.close()


def test_the_pth_downloads_from_the_page(page, product, trained):
    page.goto(f"{product.page_url}/?tab=results&job={trained['job']}&dataset={trained['dataset']}")
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("Download .pth")).click()
    assert download.value.suggested_filename.endswith(".pth")
    assert download.value.path().read_bytes()[:2] == b"PK"  # torch's format is a ZIP


def test_a_model_is_promoted_after_a_question_and_the_log_says_so(page, product, trained):
    model_id = answer(product, f"/api/cv/jobs/{trained['job']}/results")["model_id"]
    page.goto(f"{product.page_url}/?tab=models&dataset={trained['dataset']}")
    expect(page.get_by_role("heading", name="Does it still fit what comes in?")).to_be_visible()
    settle(page)
    page.get_by_role("button", name=re.compile("Promote$")).click()
    expect(page.get_by_text(f"Shall {model_id} answer from now on?")).to_be_visible()
    assert answer(product, f"/api/cv/models/{model_id}")["state"] == "candidate"
    page.get_by_role("button", name=re.compile("Yes, promote it$")).click()
    expect(page.get_by_text(f"{model_id} answers from now on.")).to_be_visible()
    wait_until(lambda: answer(product, "/health")["default_model"] == model_id, "/health knows it")
    assert answer(product, "/api/audit")["entries"][0]["action"] == "promoted"
    assert_no_traceback(page)


def test_a_reload_in_the_middle_of_training_reattaches(page, product):
    upload_sample(page)
    # what the walk above saw is on the disk, and a screen alone would end before the reload
    start_training(page, networks=["efficientnet_lite0", "efficientnet_lite1"], intent="Balanced")
    job = parameter(page, "job")
    page.reload()
    expect(page.get_by_role("heading", name="Training on shapes")).to_be_visible()
    assert parameter(page, "job") == job

    page.goto(product.page_url)  # a second browser tab knows nothing of the job; the banner offers it
    page.get_by_role("button", name="Open").first.click()
    expect(page.get_by_role("heading", name="Training on shapes")).to_be_visible()
    assert parameter(page, "job") == job

    page.get_by_role("button", name=re.compile("Cancel$")).click()
    expect(page.get_by_text("This run was cancelled.")).to_be_visible(timeout=120_000)
    assert answer(product, f"/api/cv/jobs/{job}")["state"] == "cancelled"
    assert_no_traceback(page)


def test_a_bad_zip_gives_a_red_box_with_the_api_s_detail(page, product):
    bad = b"this is no archive"
    told = httpx2.post(f"{product.api_url}/api/cv/upload", files={"file": ("bad.zip", bad)}, timeout=120).json()[
        "detail"
    ]
    page.locator("input[type=file]").first.set_input_files(
        {"name": "bad.zip", "mimeType": "application/zip", "buffer": bad}
    )
    alert = page.get_by_test_id("stAlert")
    expect(alert).to_be_visible()
    shown = alert.inner_text()
    assert told.replace("`", "") in shown
    assert_no_traceback(page)


def width_at_rest(page):
    """Of the page's content, once it has been the same four times in a row: charts find their size after the page."""
    seen = []
    for _ in range(400):
        seen.append(page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth"))
        if len(seen) >= 4 and len(set(seen[-4:])) == 1:
            return seen[-1]
        page.wait_for_timeout(150)
    raise AssertionError(f"the page's width does not come to rest: {seen[-10:]}")


@pytest.mark.parametrize("full", [False, True], ids=["empty", "full"])
def test_the_page_fits_a_phone(browser, product, trained, full):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    chosen = f"&job={trained['job']}&dataset={trained['dataset']}" if full else ""
    for tab in ("upload", "train", "results", "predictions", "models"):
        page.goto(f"{product.page_url}/?tab={tab}{chosen}")
        expect(page.get_by_role("heading", name="Sightglass")).to_be_visible()
        expect(page.locator(".st-key-tab-control")).to_be_visible()
        settle(page)
        assert width_at_rest(page) <= 390, tab
    context.close()


def test_streamlit_has_nothing_to_complain_about(product):
    log = product.page_log.read_text(encoding="utf-8", errors="replace")
    complaints = [
        line for line in log.splitlines() if re.search(r"deprecat|Traceback|Error\b|WARNING", line, re.IGNORECASE)
    ]
    assert complaints == []
