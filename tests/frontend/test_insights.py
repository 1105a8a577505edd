"""The Insights tab: issues with their pictures, charts, and a gallery that asks for one page."""

from __future__ import annotations

from frontend import state
from frontend.widgets import insight_charts


def texts(page):
    kinds = (page.header, page.subheader, page.markdown, page.caption)
    return "\n".join(element.value for kind in kinds for element in kind)


def test_issues_are_shown_with_advice_and_one_page_of_pictures(open_page, service):
    dataset = service.add_dataset()
    page = open_page(tab=state.INSIGHTS, dataset=dataset["dataset_id"])
    assert not page.exception
    shown = texts(page)
    assert "160 images" in shown
    assert "Mend them." in shown
    assert "set/circle/broken.jpg" in str(page.dataframe[0].value)
    assert service.pages_asked == [{"label": None, "issue": None, "offset": 0, "limit": 24}]


def test_a_kind_of_issue_shows_its_own_pictures_and_each_can_be_left_out(open_page, service):
    dataset = service.add_dataset()
    page = open_page(tab=state.INSIGHTS, dataset=dataset["dataset_id"])
    kinds = page.segmented_control(key="issue-kind")
    kinds.set_value("blurry").run()
    assert not page.exception
    assert "Look." in texts(page)
    assert service.pages_asked[-2]["issue"] == "blurry"
    keys = {box.key for box in page.selectbox}
    assert {"issue-blurry-circle-2", "issue-blurry-circle-3"} <= keys


def test_the_kind_of_issue_stays_over_a_reload_and_a_new_version(open_page, service):
    dataset = service.add_dataset()
    page = open_page(tab=state.INSIGHTS, dataset=dataset["dataset_id"])
    page.segmented_control(key="issue-kind").set_value("blurry").run()
    assert page.query_params["issue"] in ("blurry", ["blurry"])
    page.button(key="issue-blurry-exclude").click().run()
    page.button(key="corrections-apply").click().run()
    assert service.changes, "a version was made"
    assert page.segmented_control(key="issue-kind").value == "blurry"
    again = open_page(tab=state.INSIGHTS, dataset=dataset["dataset_id"], issue="blurry")
    assert again.segmented_control(key="issue-kind").value == "blurry"
    gone = open_page(tab=state.INSIGHTS, dataset=dataset["dataset_id"], issue="no such kind")
    assert not gone.exception
    assert gone.segmented_control(key="issue-kind").value == "corrupt"


def test_few_images_far_above_the_rest_do_not_squash_a_histogram(open_page, service):
    tail = {"edges": [0.0, 10.0, 20.0, 30.0, 9000.0], "counts": [5, 60, 20, 2]}
    spread = {"min": 0.0, "max": 9000.0, "mean": 200.0, "median": 15.0, "histogram": tail}
    bars = insight_charts.histogram(spread, axis="sharpness").data[0]
    assert list(bars.width) == [10.0] * 4
    assert bars.x[-1] == 45.0, "beside the others, not 9,000 away"
    assert list(bars.y) == tail["counts"], "no image is lost"
    even = spread | {"histogram": {"edges": [0.0, 10.0, 20.0001], "counts": [5, 6]}}
    assert insight_charts.far_above(even) == 0
    service.insights = {"light": {"sharpness": spread}}
    page = open_page(tab=state.INSIGHTS, dataset=service.add_dataset()["dataset_id"])
    assert "The grey bar holds 2 images above 30 (up to 9,000)" in texts(page)


def test_the_gallery_shows_one_class(open_page, service):
    dataset = service.add_dataset()
    page = open_page(tab=state.INSIGHTS, dataset=dataset["dataset_id"])
    page.selectbox(key="gallery-class").set_value("square").run()
    assert not page.exception
    assert service.pages_asked[-1] == {"label": "square", "issue": None, "offset": 0, "limit": 24}


COPIES = [["circle-0", "circle-5", "circle-6"], ["circle-7", "square-7"]]


def with_copies(service):
    note = {"kind": "exact_duplicates", "images": 5, "groups": 2, "advice": "Keep one.", "listed": 5}
    issues = {"exact_duplicates": COPIES, "conflicting_labels": COPIES[1]}
    service.insights = {"issues": issues, "notes": [note]}
    return service.add_dataset()


def test_one_of_each_group_of_copies_is_kept_by_one_button(open_page, service):
    dataset = with_copies(service)
    page = open_page(tab=state.INSIGHTS, dataset=dataset["dataset_id"])
    assert not page.exception
    assert not [button for button in page.button if button.key == "issue-exact_duplicates-exclude"], (
        "none would be left"
    )
    assert "Contradicting labels" in texts(page)
    page.button(key="keep-one-exact_duplicates").click().run()
    assert not page.exception
    assert "**2** to leave out" in texts(page), "the first stays, and so does what only a person can decide"
    page.button(key="corrections-apply").click().run()
    assert service.changes[-1]["exclude"] == ["circle-5", "circle-6"]


def test_copies_are_told_by_group_and_by_file(service, api, monkeypatch):
    from frontend.widgets import corrections, gallery, picture_choice

    drawn = []
    monkeypatch.setattr(corrections, "gallery", lambda api, dataset, pictures, **_: drawn.extend(pictures))
    dataset = with_copies(service)
    asked = gallery.Asked(None, "exact_duplicates", "issue", groups=COPIES)
    gallery._draw(api, dataset, asked)
    assert [one.caption for one in drawn] == [
        f"group {group} · {name}"
        for group, name in ((1, "circle"), (1, "circle"), (1, "circle"), (2, "circle"), (2, "square"))
    ]
    assert drawn[0].file == "set/circle/circle-0.png"
    assert picture_choice.file_name("set/IMG_0001.jpg") == "IMG_0001.jpg"
    assert picture_choice.file_name("x" * 40 + "7.jpg").endswith("7.jpg")
    assert len(picture_choice.file_name("x" * 40)) == picture_choice.MOST_OF_NAME


def test_images_of_one_size_and_even_classes_are_said_in_words(open_page, service):
    same = {"min": 32.0, "max": 32.0, "mean": 32.0, "median": 32.0, "histogram": {"edges": [32, 32], "counts": [9]}}
    service.insights = {"dimensions": dict.fromkeys(("width", "height", "aspect_ratio"), same), "imbalance_ratio": 1.04}
    dataset = service.add_dataset()
    page = open_page(tab=state.INSIGHTS, dataset=dataset["dataset_id"])
    assert "All images are 32 × 32 pixels." in texts(page)
    assert "nearly equal size" in texts(page)
    assert "Colours: colour (160)" in texts(page)


def test_the_upload_tab_says_what_was_found_and_leads_there(open_page, service):
    dataset = service.add_dataset()
    page = open_page(tab=state.UPLOAD, dataset=dataset["dataset_id"])
    assert "Unreadable (1), Contradicting labels (2), Blurred (2)." in texts(page)
    page.button(key="go-insights").click().run()
    assert page.query_params["tab"] in (state.INSIGHTS, [state.INSIGHTS])
    service.insights = {"notes": []}
    page = open_page(tab=state.UPLOAD, dataset=dataset["dataset_id"])
    assert not [one for one in page.button if one.key == "go-insights"]
    assert "no copies, no contradicting labels" in texts(page)
    service.insights = {"quality": "pending", "notes": []}
    assert "are being compared" in texts(open_page(tab=state.UPLOAD, dataset=dataset["dataset_id"]))


def test_a_check_on_its_way_is_said(open_page, service):
    dataset = service.add_dataset()
    service.insights = {"quality": "pending", "notes": []}
    page = open_page(tab=state.INSIGHTS, dataset=dataset["dataset_id"])
    assert not page.exception
    assert "are being compared" in texts(page)


def test_a_dataset_that_nobody_looked_at_can_be_looked_at(open_page, service):
    dataset = service.add_dataset()
    service.insights = {"quality": "unavailable", "notes": [], "light": {}}
    page = open_page(tab=state.INSIGHTS, dataset=dataset["dataset_id"])
    page.button(key="insights-check").click().run()
    assert not page.exception
    assert [job["kind"] for job in service.jobs.values()] == ["check_quality"]
    assert "Mend them." in texts(page)


def test_nothing_found_is_said(open_page, service):
    dataset = service.add_dataset()
    service.insights = {"notes": []}
    assert "Nothing was found" in texts(open_page(tab=state.INSIGHTS, dataset=dataset["dataset_id"]))


def test_results_say_what_copies_are_worth(open_page, service, monkeypatch):
    import stand_in_api

    score = {"test_images": 32, "leaked": 9, "accuracy": 0.91, "accuracy_without": 0.87}
    plain = stand_in_api.results_of
    leak = {"images": 40, "groups": 20, "own": None, "by_chance": score}
    monkeypatch.setattr(stand_in_api, "results_of", lambda *args: plain(*args) | {"leak": leak})
    dataset = service.add_dataset()
    service.add_job(dataset["dataset_id"], state="succeeded")
    page = open_page(tab=state.RESULTS, dataset=dataset["dataset_id"])
    assert "9 of 32 test images would have had a copy in training" in texts(page)
    leak.update(own=score, by_chance=None)
    page = open_page(tab=state.RESULTS, dataset=dataset["dataset_id"])
    assert "9 of 32 test images have a copy" in page.warning[0].value
