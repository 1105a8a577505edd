"""How long a run will take, judged by the last one of its kind."""

from __future__ import annotations

import pytest
import stand_in_api


@pytest.fixture
def dataset(service):
    return service.add_dataset()


def intend(form, name):
    form.radio(key="intent").set_value(name).run()


def test_a_later_run_of_another_kind_does_not_hide_the_one_to_judge_by(open_page, service, dataset):
    service.add_job(dataset["dataset_id"], state="succeeded")
    service.add_job(
        dataset["dataset_id"], state="succeeded", recipe={"strategy": "finetune"}, ended_at="2026-02-01T10:00:00Z"
    )
    page = open_page(tab="train", dataset=dataset["dataset_id"])
    assert page.caption[1].value.startswith("About 42 s on this machine")


def test_the_estimate_is_judged_by_the_last_run_of_the_kind(open_page, service, dataset):
    service.add_job(dataset["dataset_id"], state="succeeded")
    page = open_page(tab="train", dataset=dataset["dataset_id"])
    assert page.caption[1].value.startswith("About 42 s on this machine")
    assert page.caption[1].value.endswith("It ends after 10 min at the latest, with the best found by then.")
    intend(page, "best")
    assert page.caption[1].value.startswith("No run of this kind")


def test_a_preset_with_a_strategy_of_its_own_is_judged_by_its_own_runs(open_page, service, dataset, monkeypatch):
    stored = {"strategy": "finetune", "preset": "defects", "num_epochs": 10}  # as the service writes it down
    answered = stand_in_api.results_of
    monkeypatch.setattr(stand_in_api, "results_of", lambda *args: answered(*args) | {"recipe": stored})
    service.add_job(dataset["dataset_id"], state="succeeded", recipe=stored)
    page = open_page(tab="train", dataset=dataset["dataset_id"])
    intend(page, "defects")
    assert page.caption[1].value.startswith("About")
    intend(page, "finetune")
    assert page.caption[1].value.startswith("No run of this kind")


def test_the_estimate_is_never_above_the_limit(open_page, service, dataset):
    service.add_job(dataset["dataset_id"], state="succeeded")
    page = open_page(tab="train", dataset=dataset["dataset_id"])
    page.number_input(key="recipe-budget").set_value(0.5).run()
    assert page.caption[1].value.startswith("About 30 s on this machine")
    assert "after 30 s at the latest" in page.caption[1].value
    intend(page, "finetune")
    page.number_input(key="recipe-budget").set_value(None).run()
    assert "at the latest" not in page.caption[1].value
