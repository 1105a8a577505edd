"""Correcting, adding, undoing, training again and comparing, on the whole page against the stand-in."""

from __future__ import annotations

import pytest
import streamlit as st
from stand_in_api import Problem
from stand_in_versions import made

from frontend import state
from frontend.widgets.corrections import opposite


@pytest.fixture
def dataset(service):
    return service.add_dataset()


@pytest.fixture
def results(open_page, service, dataset):
    service.add_job(dataset["dataset_id"], state="succeeded")
    return open_page(tab="results", dataset=dataset["dataset_id"])


@pytest.fixture
def upload(open_page, dataset):
    return lambda: open_page(tab="upload", dataset=dataset["dataset_id"])


def texts(page):
    return [element.value for element in page.markdown]


def suspects(page):
    """The choices under the suspect pictures, by image."""
    prefix = "suspects-job-0000000000-"
    return {box.key.removeprefix(prefix): box for box in page.selectbox if (box.key or "").startswith(prefix)}


def choose(page, place, choice):
    box = list(suspects(page).values())[place]
    box.set_value(choice).run()
    return box.key.removeprefix("suspects-job-0000000000-")


def test_suspects_are_corrected_by_one_button(results, service, dataset):
    out = choose(results, 0, "")
    relabelled = choose(results, 1, "triangle")
    assert "Chosen: **1** to leave out, **1** to relabel." in texts(results)
    assert service.changes == [], "nothing is sent before the button is pressed"
    results.button(key="corrections-apply").click().run()
    assert service.changes == [{"exclude": [out], "relabel": {relabelled: "triangle"}, "base_version": 1}]
    assert any(text.startswith("Version **2** is made") for text in texts(results))
    assert out not in suspects(results), "what was corrected is not asked for again"
    assert any("2 of them have been corrected since" in caption.value for caption in results.caption)


def test_all_suggestions_of_a_page_are_taken_and_forgotten_at_once(results):
    results.button(key="suspects-job-0000000000-accept").click().run()
    assert "Chosen: **0** to leave out, **12** to relabel." in texts(results)
    results.button(key="corrections-forget").click().run()
    assert not any(text.startswith("Chosen:") for text in texts(results))


def test_what_is_chosen_outlives_a_reload_in_the_same_browser_alone(open_page, service, dataset, monkeypatch):
    service.add_job(dataset["dataset_id"], state="succeeded")
    monkeypatch.setattr(state, "new_browser", lambda: "b" * 22)
    cookies = {}
    monkeypatch.setattr(type(st.context), "cookies", property(lambda _: cookies))

    def page():
        return open_page(tab="results", dataset=dataset["dataset_id"])

    first = page()
    chosen = choose(first, 0, "")
    service.datasets[dataset["dataset_id"]]["version"] = 2  # somebody else's, meanwhile
    assert "Chosen: **1** to leave out, **0** to relabel." not in texts(page()), "another browser"
    cookies[state.BROWSER_COOKIE] = "b" * 22
    again = page()
    assert "Chosen: **1** to leave out, **0** to relabel." in texts(again)
    assert suspects(again)[chosen].value == ""
    assert any("Somebody else" in error.value for error in again.error), "it was chosen on the version before"
    again.button(key="corrections-apply").click().run()
    assert service.changes[-1]["exclude"] == [chosen]
    assert "Chosen: **1** to leave out, **0** to relabel." not in texts(page()), "what was sent is not kept"


def test_a_change_is_undone(results, service):
    out = choose(results, 0, "")
    results.button(key="corrections-apply").click().run()
    results.button(key="corrections-undo").click().run()
    assert service.changes[-1] == {"restore": [out], "exclude": [], "relabel": {}, "base_version": 2}


def test_a_refusal_is_shown_and_the_choice_kept(results, service, monkeypatch):
    choose(results, 0, "")
    monkeypatch.setattr("stand_in_versions.made", refuse)
    results.button(key="corrections-apply").click().run()
    assert any("somebody was first" in box.value for box in results.error)
    assert "Chosen: **1** to leave out, **0** to relabel." in texts(results)


def refuse(*_, **__):
    raise Problem(409, "Dataset is at version 2: somebody was first.")


def test_a_run_on_an_older_version_offers_the_next_run(results, service, dataset):
    assert not any(button.key == "retrain-outdated" for button in results.button)
    service.datasets[dataset["dataset_id"]]["version"] = 3
    results.run()
    assert "This run used version 1 of the images; the newest is version 3." in texts(results)
    results.button(key="retrain-outdated").click().run()
    assert service.recipes[-1]["dataset_id"] == dataset["dataset_id"]
    assert "dataset_version" not in service.recipes[-1], "the newest at the moment of queueing"
    assert "train" in results.query_params["tab"]


def test_history_and_excluded_images_stand_below_the_dataset(upload, service, dataset):
    page = upload()
    assert not any("versions" in expander.label for expander in page.expander)
    made(dataset, excluded=2)
    dataset["excluded_images"] = 2
    service.changes.append({"exclude": ["circle-0", "circle-1"]})
    page = upload()
    assert not page.exception
    labels = [expander.label for expander in page.expander]
    assert "2 versions" in labels
    assert "2 images are left out" in labels
    page.button(key="restore").click().run()
    assert service.changes[-1] == {"restore": ["circle-0", "circle-1"], "base_version": 2}


def test_what_undoes_a_difference():
    difference = {
        "excluded": [{"image_id": "a", "labels": ["cat"], "before": None}],
        "restored": [{"image_id": "b", "labels": ["cat"], "before": None}],
        "relabelled": [
            {"image_id": "b", "labels": ["dog"], "before": ["cat"]},
            {"image_id": "c", "labels": ["dog"], "before": ["cat"]},
        ],
    }
    assert opposite(difference) == {"restore": ["a"], "exclude": ["b"], "relabel": {"c": "cat"}}


def compared(service, dataset, **fields):
    """Two finished runs, the newer compared with the older."""
    service.add_job(dataset["dataset_id"], state="succeeded")
    newer = service.add_job(dataset["dataset_id"], state="succeeded")
    model_id = f"model-{newer['job_id'][4:]}"
    one = {"images": 30, "champion_right": 25, "challenger_right": 27, "p_value": 0.6, "verdict": "unsure"}
    service.comparisons[model_id] = {
        "challenger_id": model_id,
        "champion_id": "model-0000000000",
        "challenger_name": "a",
        "champion_name": "b",
        "dataset_version": 2,
        "champion_version": 1,
        "overall": one,
        "classes": [{**one, "label": "circle"}],
        "test_images": 32,
        "left_out": 2,
        "headline": "The challenger is right on 2 more of 30 images.",
        "by_class": "Better on circle +2; too few images to be sure.",
        "notes": ["2 test images were left out."],
        **fields,
    }
    return model_id


def test_a_new_model_stands_beside_the_one_before_it(open_page, service, dataset):
    model_id = compared(service, dataset)
    page = open_page(tab="results", dataset=dataset["dataset_id"])
    assert "**The challenger is right on 2 more of 30 images.**" in texts(page)
    assert r"Better on circle +2; too few images to be sure." in " ".join(texts(page))
    captions = [caption.value for caption in page.caption]
    assert "2 test images were left out." in captions
    assert "No model of this dataset is promoted, so predictions use its newest one." in captions
    page.button(key="champion-promote").click().run()
    assert service.promoted == [model_id]
    captions = [caption.value for caption in page.caption]
    assert "Predictions use this model: it is promoted." in captions
    assert not any("No model of this dataset is promoted" in caption for caption in captions)
    assert any("this run's model, trained on version" in caption for caption in captions)


def test_a_promoted_champion_stays_until_somebody_promotes_another(open_page, service, dataset):
    compared(service, dataset)
    service.promoted.append("model-0000000000")
    page = open_page(tab="results", dataset=dataset["dataset_id"])
    assert any("still use the promoted model model-0000000000" in caption.value for caption in page.caption)


def test_what_was_not_compared_is_compared_by_a_button(open_page, service, dataset):
    model_id = compared(service, dataset)
    service.comparisons.clear()
    page = open_page(tab="results", dataset=dataset["dataset_id"])
    page.button(key="champion-compare").click().run()
    assert service.comparisons_asked == [model_id]


def test_a_dataset_s_only_model_is_compared_with_nobody(results):
    assert not any((button.key or "").startswith("champion") for button in results.button)


def test_who_was_not_first_is_told_and_keeps_what_was_chosen(open_page, service):
    dataset = service.add_dataset()
    page = open_page(tab=state.INSIGHTS, dataset=dataset["dataset_id"])
    page.button(key="gallery-all-exclude").click().run()
    dataset["version"] += 1  # somebody else's change
    page.button(key="corrections-apply").click().run()
    assert not service.changes
    assert "Somebody else changed these images" in page.error[0].value
    page.run()
    assert page.error, "it stays when the page is drawn anew"
    page.button(key="corrections-apply").click().run()
    assert not page.exception
    assert service.changes[-1]["base_version"] == dataset["version"] - 1
    assert len(service.changes[-1]["exclude"]) == 24
