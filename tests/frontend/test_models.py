"""The Models tab: what there is, what may be done to it, what is asked before, and what comes in."""

from __future__ import annotations

import pytest
from stand_in_registry import entry, measure

HEADLINE = {
    "headline": "The challenger is right on 2 more of 30 images.",
    "by_class": "Better on circle +2.",
    "notes": ["2 test images were left out."],
}


@pytest.fixture
def dataset(service):
    return service.add_dataset()


@pytest.fixture
def train(service, dataset):
    def one(**fields):
        job = service.add_job(fields.pop("dataset_id", dataset["dataset_id"]), state="succeeded", **fields)
        return f"model-{job['job_id'][4:]}"

    return one


@pytest.fixture
def tab(open_page, dataset):
    return lambda: open_page(tab="models", dataset=dataset["dataset_id"])


def said(page):
    kinds = (
        page.header,
        page.subheader,
        page.markdown,
        page.caption,
        page.error,
        page.warning,
        page.info,
        page.success,
    )
    return "\n".join(element.value for kind in kinds for element in kind)


def buttons(page):
    return [button.key.removeprefix("model-") for button in page.button if (button.key or "").startswith("model-")]


def press(page, key):
    page.button(key=f"model-{key}").click().run()
    assert not page.exception
    return page


def test_models_stand_in_a_table_with_interval_version_and_state(tab, train, service):
    train()
    service.promoted = [train()]
    page = tab()
    rows = page.dataframe[0].value
    assert list(rows["state"]) == ["promoted", "candidate"]
    assert rows["dataset"][0] == "shapes, version 1"
    assert "–" in rows["interval"][0]
    assert page.header[0].value == "2 models"
    assert f"`POST /predict` is answered by efficientnet\\_lite0 (`{service.promoted[0]}`)." in said(page)


def test_the_promoted_model_is_shown_first_and_another_can_be_chosen(tab, train, service):
    first = train()
    second = train()
    service.promoted = [first]
    page = tab()
    assert f"kept as `{first}`" in said(page)
    assert "Promoted since" in said(page)
    assert "The training was started by bob" in said(page)
    page.selectbox(key="models-chosen").set_value(second).run()
    assert f"kept as `{second}`" in said(page)
    assert "promoted" not in page.subheader[0].value


def test_all_datasets_models_are_a_click_away(tab, train, service):
    train()
    other = service.add_dataset("pets")
    train(dataset_id=other["dataset_id"])
    page = tab()
    assert len(page.dataframe[0].value) == 1
    page.segmented_control(key="models-scope").set_value("all").run()
    assert set(page.dataframe[0].value["dataset"]) == {"shapes, version 1", "pets, version 1"}


def test_without_a_chosen_dataset_all_models_are_listed(open_page, train):
    train()
    page = open_page(tab="models")
    assert len(page.dataframe[0].value) == 1
    assert not page.segmented_control or page.segmented_control[0].key != "models-scope"


def test_nothing_is_promoted_before_it_was_asked_about_in_words(tab, train, service):
    champion, challenger = train(), train()
    service.promoted = [champion]
    service.comparisons[challenger] = HEADLINE
    page = tab()
    page.selectbox(key="models-chosen").set_value(challenger).run()
    press(page, "promote")
    assert service.promoted == [champion]
    assert f"**Shall {challenger} answer from now on?**" in said(page)
    assert "The challenger is right on 2 more of 30 images." in said(page)
    assert f"The challenger is {challenger}, the champion {champion}." in said(page)
    press(page, "not")
    assert "sure" not in buttons(page)
    press(page, "promote")
    press(page, "sure")
    assert service.promoted == [champion, challenger]
    assert f"{challenger} answers from now on." in page.success[0].value
    assert "sure" not in buttons(page)


def test_models_that_were_not_compared_can_be_first(tab, train, service):
    champion, challenger = train(), train()
    service.promoted = [champion]
    page = tab()
    page.selectbox(key="models-chosen").set_value(challenger).run()
    press(page, "promote")
    assert f"`{challenger}` has not been compared with `{champion}`" in said(page)
    press(page, "compare")
    assert service.comparisons_asked == [challenger]


def test_the_first_promotion_has_no_champion(tab, train):
    train()
    assert "No model of its dataset is promoted yet" in said(press(tab(), "promote"))


def test_rolling_back_names_who_answers_again(tab, train, service):
    service.promoted = [train(), train()]
    old, new = service.promoted
    page = tab()
    assert buttons(page) == ["rollback"]
    press(page, "rollback")
    assert f"**Shall {old} answer again, in place of {new}?**" in said(page)
    press(page, "sure")
    assert service.promoted == [old]
    assert f"{old} answers again, in place of {new}." in page.success[0].value


def test_a_promoted_model_with_nobody_before_it_offers_nothing(tab, train, service):
    service.promoted = [train()]
    assert buttons(tab()) == []


def test_what_somebody_else_has_done_meanwhile_is_not_done_again(tab, train, service):
    service.promoted = [train(), train()]
    page = press(tab(), "rollback")
    service.promoted.append(train())
    page.button(key="model-sure").click().run()
    assert len(service.promoted) == 3
    assert not page.exception


def test_a_refusal_is_shown_and_the_question_stays(tab, train, service):
    model = train()
    service.held_by = "job-7"
    page = press(press(tab(), "delete"), "sure")
    assert f"Job 'job-7' still uses model '{model}'." in page.error[0].value
    assert "sure" in buttons(page)
    assert service.deleted == set()


def test_archiving_restoring_and_deleting(tab, train, service):
    model = train()
    page = tab()
    assert buttons(page) == ["promote", "archive", "delete"]
    press(press(page, "archive"), "sure")
    assert service.archived == {model}
    assert buttons(page) == ["restore", "delete"]
    press(press(page, "restore"), "sure")
    assert service.archived == set()
    press(press(page, "delete"), "sure")
    assert service.deleted == {model}
    assert "This dataset has no model yet." in said(page)


def test_the_snippet_asks_both_addresses(tab, train, api):
    model = train()
    (code,) = tab().code
    assert f"{api.base_url}/predict\n" in code.value
    assert f"/api/cv/predict/{model}?top_k=3" in code.value


def test_drift_says_its_verdict_and_draws_what_came(tab, train, service):
    train()
    page = tab()
    assert "Too few predictions to say" in page.info[0].value
    assert not page.get("plotly_chart")
    service.drift = {
        "predictions": 120,
        "verdict": "drifted",
        "headline": "What comes in is no longer what this model was tested on.",
        "labels": measure(
            "drifted", "The labels have moved much.", [("circle", 0.5, 0.9, 108), ("square", 0.5, 0.1, 12)]
        ),
        "confidence": measure("steady", "The confidences are steady.", [("0.9-1.0", None, 1.0, 120)]),
        "days": [
            {"day": "2026-01-01", "predictions": 60, "unfamiliar": 1, "judged": 60},
            {"day": "2026-01-02", "predictions": 60, "unfamiliar": 3, "judged": 60},
        ],
    }
    page = tab()
    assert "no longer what this model was tested on" in page.error[0].value
    assert "The labels have moved much." in said(page)
    assert len(page.get("plotly_chart")) == 3


def test_history_and_audit_are_tables(tab, train, service, dataset):
    service.promoted = [train(), train()]
    mine = {"dataset_id": dataset["dataset_id"]}
    service.entries = [entry(number, **mine) for number in range(30, 0, -1)] + [entry(0, subject="model-other")]
    page = tab()
    history, trail = page.dataframe[1].value, page.dataframe[2].value
    assert list(history["In place of"]) == [service.promoted[0], "–"]
    assert len(trail) == 20
    assert trail["Request"][0] == "req-30"
    assert "There are older entries" in said(page)
    page.segmented_control(key="audit-limit").set_value(100).run()
    assert len(page.dataframe[2].value) == 30
