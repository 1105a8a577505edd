"""A ZIP of pictures in the Predictions tab: dropped, answered, downloaded; a reload shows the same."""

from __future__ import annotations

import pytest
import stand_in_registry


@pytest.fixture
def dataset(service):
    made = service.add_dataset()
    service.add_job(made["dataset_id"], state="succeeded")
    return made["dataset_id"]


@pytest.fixture
def page(open_page, dataset):
    page = open_page(tab="predictions", dataset=dataset)
    return page.segmented_control(key="picture-source").set_value("archive").run()


def send(page, content=b"PK and so on"):
    page.file_uploader[0].set_value([("shots.zip", content, "application/zip")])
    page.run()
    return page.button(key="batch-start").click().run()


def test_a_zip_is_sent_once_and_its_job_stands_in_the_address(page, service):
    service.step = 0
    send(page)
    page.run()
    assert service.predictions_asked == [{"model_id": "model-0000000000", "top_k": 3, "filename": "shots.zip"}]
    newest = next(iter(service.jobs))
    assert newest in page.query_params["batch"]  # AppTest gives text or a list of it
    assert service.jobs[newest]["kind"] == "predict_batch"
    assert page.button(key="batch-cancel")


def test_what_is_no_archive_is_refused_in_the_service_s_words(page):
    send(page, b"text")
    assert page.error[0].value.startswith("The file is not a ZIP archive.")
    assert "batch" not in page.query_params
    assert not page.exception


def test_a_link_to_a_finished_batch_shows_its_first_rows_and_both_files(open_page, service, dataset):
    said = "30 of 30 pictures answered at 143 images/s."
    job = service.add_job(dataset, state="succeeded", kind="predict_batch", candidates=[], message=said)
    page = open_page(tab="predictions", dataset=dataset, batch=job["job_id"])
    assert page.success[0].value == said
    assert len(page.dataframe[0].value) == 20
    assert page.dataframe[0].value["filename"].iloc[0] == "day 1/0.png"
    assert [button.label for button in page.download_button] == ["Download CSV", "Download JSON"]
    page.button(key="batch-another").click().run()
    assert "batch" not in page.query_params
    assert page.file_uploader


def test_a_batch_that_failed_says_why(open_page, service, dataset):
    job = service.add_job(dataset, state="failed", kind="predict_batch", candidates=[], error="The disk is full.")
    page = open_page(tab="predictions", dataset=dataset, batch=job["job_id"])
    assert page.error[0].value == "The disk is full."
    assert not page.download_button


def test_a_batch_that_is_gone_leaves_a_way_on(open_page, service, dataset):
    page = open_page(tab="predictions", dataset=dataset, batch="job-ffffffffff")
    assert page.error
    page.button(key="batch-another").click().run()
    assert not page.error


def test_of_a_model_of_several_labels_the_costs_are_sent(open_page, service, dataset, monkeypatch):
    made = stand_in_registry.model_of
    monkeypatch.setattr(stand_in_registry, "model_of", lambda *of, **more: made(*of, **more) | {"task": "multilabel"})
    page = open_page(tab="predictions", dataset=dataset)
    page.segmented_control(key="picture-source").set_value("archive").run()
    assert [field.key for field in page.number_input] == []
    page.toggle(key="batch-costs-by-costs").set_value(True).run()
    send(page)
    assert not page.exception
    assert service.predictions_asked[0]["miss_cost"] == 5.0
