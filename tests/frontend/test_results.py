"""Results: the answer first, and every number as the API gave it."""

from __future__ import annotations

import pytest
import stand_in_api


@pytest.fixture
def dataset(service):
    return service.add_dataset()


@pytest.fixture
def page(open_page, service, dataset):
    service.add_job(dataset["dataset_id"], state="succeeded")
    return open_page(tab="results", dataset=dataset["dataset_id"])


def rows(page):
    return page.table[0].value.to_dict("records")


def test_the_answer_stands_first_in_one_sentence(page):
    assert page.header[0].value == (
        r"efficientnet\_lite0 is right on 90 of 100 images it never saw, 77–97 with 95% confidence."
    )
    assert any("31 test images that were kept aside: 28 right, accuracy 90.3%" in c.value for c in page.caption)


def test_the_leaderboard_names_the_weights_in_words(page):
    assert [row["Started from"] for row in rows(page)] == [
        "ImageNet (bundled)",
        "ImageNet (bundled)",
        "scratch: learned from your images only",
        "–",
        "scratch: learned from your images only",
    ]


def test_the_leaderboard_marks_the_chosen_the_ties_and_what_was_skipped(page):
    assert [row["Note"] for row in rows(page)] == [
        "chosen",
        "tie: within the margin of error",
        "",
        "",
        "Skipped: The time budget was used up.",
    ]


def test_the_baseline_stands_on_the_leaderboard(page):
    row = rows(page)[3]
    assert row["Network"] == "Baseline: always the most frequent class"
    assert row["Accuracy"] == "37.5%"


def test_what_was_skipped_comes_last_and_without_numbers(page):
    assert rows(page)[-1]["Accuracy"] == "–"
    assert rows(page)[-1]["Rank"] == "–"


def chosen_cell(page):
    return [box.value for box in page.selectbox if (box.key or "").startswith("cell-")]


def test_the_most_frequent_mistake_is_opened_first(page):
    assert chosen_cell(page) == ["square", "triangle"]
    assert "2 images of **square** were taken for **triangle**." in [element.value for element in page.markdown]


def choose_cell(page, truth, predicted):
    job = page.query_params["job"][0] if "job" in page.query_params else "job-0000000000"
    page.selectbox(key=f"cell-truth-{job}").set_value(truth)
    page.selectbox(key=f"cell-predicted-{job}").set_value(predicted).run()
    return [element.value for element in page.markdown]


def test_a_cell_can_be_chosen_without_a_mouse(page):
    assert "8 images of **square** were answered right." in choose_cell(page, "square", "square")
    assert "One image of **square** was taken for **circle**." in choose_cell(page, "square", "circle")
    assert not page.exception


def test_an_empty_cell_says_so_and_asks_for_nothing(page, service):
    service.without_answers = True
    assert "No image of **circle** was taken for **square**." in choose_cell(page, "circle", "square")
    assert not page.error


def test_the_answers_to_choose_from_say_how_often_they_were_given(page):
    assert page.selectbox(key="cell-predicted-job-0000000000").options == ["circle · 1", "square · 8", "triangle · 2"]


def test_a_model_without_kept_answers_says_what_to_do(open_page, service, dataset):
    service.without_answers = True
    service.add_job(dataset["dataset_id"], state="succeeded")
    page = open_page(tab="results", dataset=dataset["dataset_id"])
    assert page.error[0].value == "This model has no answers to single test images. Train again to have them."
    assert "How it was done" in [element.value for element in page.subheader]


def test_the_classes_are_sorted_by_weakness(page):
    table = page.dataframe[0].value
    assert list(table["label"]) == ["square", "triangle", "circle"]
    assert table["f1"].iloc[0] == pytest.approx(84.2105, abs=1e-3)


def test_split_preparation_and_tracking_are_said(page):
    how = page.main.markdown[-1].value
    assert "102 to train on, 26 to choose by (validation), 31 for the final test; seed 42" in how
    assert "All images are square" in how
    assert "MLflow has the run `0f3a`" in how


def test_notes_are_shown(page):
    assert "had no ImageNet weights here" in page.info[0].value


def test_promoting_reaches_the_service(page, service):
    page.button(key="promote").click().run()
    assert service.promoted == ["model-0000000000"]
    assert page.success[0].value == "This model is now the service's default."


def test_both_files_can_be_downloaded(page):
    labels = [button.label for button in page.download_button]
    assert labels == ["Download .pth", "Download bundle"]


def test_without_a_run_the_tab_offers_to_train(open_page, dataset):
    page = open_page(tab="results", dataset=dataset["dataset_id"])
    assert not page.error
    page.button[-1].click().run()
    assert page.header[0].value == "Train on shapes"


def test_while_a_run_is_under_way_the_tab_offers_to_watch_it(open_page, service, dataset):
    service.step = 0
    job = service.add_job(dataset["dataset_id"])
    page = open_page(tab="results", job=job["job_id"], dataset=dataset["dataset_id"])
    assert "The training run is still under way." in [element.value for element in page.markdown]


@pytest.mark.parametrize("tab", ["results", "predictions"])
def test_a_run_on_the_dataset_is_found_without_its_id_in_the_url(open_page, service, dataset, tab):
    service.step = 0
    job = service.add_job(dataset["dataset_id"])
    page = open_page(tab=tab, dataset=dataset["dataset_id"])
    assert "The training run is still under way." in [element.value for element in page.markdown]
    page.button[-1].click().run()
    assert page.header[0].value == "Training on shapes"
    assert job["job_id"] in page.query_params["job"]


def test_an_older_run_can_be_chosen(open_page, service, dataset):
    old = service.add_job(dataset["dataset_id"], state="succeeded")
    service.add_job(dataset["dataset_id"], state="succeeded")
    page = open_page(tab="results", dataset=dataset["dataset_id"])
    page.selectbox(key="run-picker").set_value(old["job_id"]).run()
    assert old["job_id"] in page.query_params["job"]
    assert not page.exception


def test_a_single_step_draws_no_curve_and_says_why(open_page, service, dataset, monkeypatch):
    one_step = [{"epoch": 1, "train_loss": 0.1, "val_loss": 0.2, "val_accuracy": 0.9}]
    answered = stand_in_api.results_of
    monkeypatch.setattr(
        stand_in_api, "results_of", lambda *args: answered(*args) | {"history": {"efficientnet_lite0": one_step}}
    )
    service.add_job(dataset["dataset_id"], state="succeeded")
    page = open_page(tab="results", dataset=dataset["dataset_id"])
    assert any(caption.value.startswith("No training curves") for caption in page.caption)
    assert "Training curves" not in [element.value for element in page.subheader]
