"""The frame: tabs, URL, banner, and what appears when the service refuses or is away."""

from __future__ import annotations

import socket

import pytest

from frontend.app import TABS

NAMES = [tab.name for tab in TABS]


def everything(page):
    """All text of a page, as one string."""
    kinds = (page.title, page.header, page.subheader, page.markdown, page.caption, page.error, page.info, page.success)
    return "\n".join(element.value for kind in (*kinds, page.warning) for element in kind)


def test_the_tabs_stand_in_the_order_of_the_work():
    assert NAMES == ["upload", "insights", "train", "results", "predictions", "models"]


@pytest.mark.parametrize("name", NAMES)
def test_every_tab_of_an_empty_service_says_what_to_do_first(open_page, name):
    page = open_page(tab=name)
    assert not page.exception
    assert not page.error
    texts = [button.label for button in page.button]
    assert any(label in texts for label in ("Upload pictures", "Digits: handwritten, 0 to 9"))


@pytest.mark.parametrize("name", NAMES)
def test_every_tab_shows_a_trained_dataset_without_trouble(open_page, service, name):
    dataset = service.add_dataset()
    service.add_job(dataset["dataset_id"], state="succeeded")
    page = open_page(tab=name, dataset=dataset["dataset_id"])
    assert not page.exception
    assert not page.error
    assert not page.warning


@pytest.mark.parametrize("name", NAMES)
def test_a_stale_link_shows_the_api_s_reason_and_a_way_out(open_page, name):
    page = open_page(tab=name, dataset="ds-gone")
    assert "There is no dataset 'ds-gone'" in page.error[0].value
    page.button[-1].click().run()
    assert "dataset" not in page.query_params
    assert not page.error


@pytest.mark.parametrize("identifier", ["../x", "..", "a/b/c", "<b>", "%2e%2e"])
def test_what_can_be_no_dataset_s_id_is_told_as_any_dataset_that_is_not_there(open_page, identifier):
    page = open_page(tab="insights", dataset=identifier)
    assert page.error[0].value.startswith("There is no dataset")
    page.button[-1].click().run()
    assert "dataset" not in page.query_params


@pytest.mark.parametrize("name", ["train", "results"])
def test_a_job_that_does_not_exist_shows_the_api_s_reason(open_page, name):
    assert "There is no job 'job-gone'" in open_page(tab=name, job="job-gone").error[0].value


def test_an_unknown_tab_in_the_url_opens_the_first(open_page):
    assert open_page(tab="nonsense").query_params["tab"] in ("upload", ["upload"])


def test_a_click_on_a_tab_is_written_into_the_url(open_page):
    page = open_page()
    page.segmented_control(key="tab-control").set_value("train").run()
    assert page.query_params["tab"] in ("train", ["train"])
    assert "Training needs pictures first." in everything(page)


def test_the_page_knows_the_url_that_it_was_drawn_with(open_page):
    """What a look by the clock goes back to, `state.redraw`."""
    page = open_page(dataset="ds-gone", tab="results")
    assert page.session_state["address-drawn"] == {"dataset": "ds-gone", "tab": "results"}


def test_a_service_that_is_away_is_said_in_a_red_box_with_the_next_step(open_page, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("SIGHTGLASS_API_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        page = open_page()
    assert not page.exception
    assert "make start" in page.error[0].value
    assert [button.label for button in page.button] == ["Try again"]


def test_the_api_key_of_the_environment_is_sent(open_page, service, monkeypatch):
    monkeypatch.setenv("SIGHTGLASS_API_KEY", "secret")
    open_page()
    assert service.keys_seen == ["secret"]


def test_a_running_job_is_offered_on_every_other_tab_and_opens_on_train(open_page, service):
    service.step = 0.1
    dataset = service.add_dataset("boats")
    job = service.add_job(dataset["dataset_id"])
    page = open_page()
    assert "**boats**: a training run is under way, 10% done." in everything(page)
    page.button(key=f"open-{job['job_id']}").click().run()
    assert page.query_params["job"] in (job["job_id"], [job["job_id"]])
    assert page.header[0].value == "Training on boats"


def test_no_banner_without_an_unfinished_job(open_page, service):
    dataset = service.add_dataset()
    service.add_job(dataset["dataset_id"], state="succeeded")
    assert "a training run" not in everything(open_page())
