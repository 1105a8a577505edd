"""The Insights tab: issues with their pictures, charts, and a gallery that asks for one page."""

from __future__ import annotations

from frontend import state


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
    kinds = page.segmented_control(key=f"issue-kind-{dataset['dataset_id']}-1")
    kinds.set_value("blurry").run()
    assert not page.exception
    assert "Look." in texts(page)
    assert service.pages_asked[-2]["issue"] == "blurry"
    keys = {box.key for box in page.selectbox}
    assert {"issue-blurry-circle-2", "issue-blurry-circle-3"} <= keys


def test_the_gallery_shows_one_class(open_page, service):
    dataset = service.add_dataset()
    page = open_page(tab=state.INSIGHTS, dataset=dataset["dataset_id"])
    page.selectbox(key="gallery-class").set_value("square").run()
    assert not page.exception
    assert service.pages_asked[-1] == {"label": "square", "issue": None, "offset": 0, "limit": 24}


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
