"""Results: the answer first, and every number as the API gave it."""

from __future__ import annotations

import pytest
import stand_in_answers
import stand_in_api

from frontend.widgets import charts


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
    assert [row["Note"] for row in rows(page)] == ["chosen", "tie", "", "", "Skipped"]


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
    assert "fewer than 12 pixels" in how
    assert "All images are square" in how
    assert "MLflow has the run `0f3a`" in how


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (None, ""),
        ((400, 380, 1), "- Of 400 images, 380 were known from earlier runs: their features were not computed again.\n"),
        ((3200, 2800, 8), "Of 3,200 images, 2,800 were known"),
        ((3200, 2800, 8), "Each image counts once for each of 8 networks."),
        ((400, 0, 1), "The features of 400 images were computed in this run; the next run reads them."),
    ],
)
def test_what_was_reused_of_earlier_runs_is_said(page_with, use, words):
    page = page_with(lambda _: {"features": use and dict(zip(("images", "at_hand", "networks"), use, strict=True))})
    how = page.main.markdown[-1].value
    assert words in how
    assert use or "earlier runs" not in how


def test_notes_are_shown(page):
    assert "had no ImageNet weights here" in page.info[0].value


def test_promoting_reaches_the_service(page, service):
    page.button(key="promote").click().run()
    assert service.promoted == ["model-0000000000"]
    assert (
        page.success[0].value == "This model is promoted: it answers for its dataset and for POST /predict from now on."
    )


def test_every_file_can_be_downloaded(page):
    labels = [button.label for button in page.download_button]
    assert labels == ["Download bundle", "Download .pth", "Download ONNX", "Download model card"]


def test_how_well_the_onnx_file_agrees_is_said(page):
    assert any("compared with the model on 64 pictures: 100.0%" in caption.value for caption in page.caption)


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
    monkeypatch.setattr(stand_in_api, "results_of", lambda *args: answered(*args) | {"history": {"resnet18": one_step}})
    service.add_job(dataset["dataset_id"], state="succeeded")
    page = open_page(tab="results", dataset=dataset["dataset_id"])
    assert any(caption.value.startswith("No training curves") for caption in page.caption)


def test_a_fine_tune_of_one_epoch_says_what_it_reached_and_not_that_only_a_layer_was_trained(
    open_page, service, dataset, monkeypatch
):
    one_epoch = [{"epoch": 1, "train_loss": 0.1, "val_loss": 0.2, "val_accuracy": 0.25, "val_macro_f1": 0.5}]
    answered = stand_in_api.results_of
    history = {"efficientnet_lite0": one_epoch, "resnet18": one_epoch}  # the second is a linear head's one step
    monkeypatch.setattr(stand_in_api, "results_of", lambda *args: answered(*args) | {"history": history})
    service.add_job(dataset["dataset_id"], state="succeeded")
    page = open_page(tab="results", dataset=dataset["dataset_id"])
    said = [caption.value for caption in page.caption if caption.value.startswith("No training curve")]
    assert said == [
        "No training curve of efficientnet\\_lite0: it was trained for one epoch. Validation macro F1 after it: 50.0%."
    ]
    assert "Training curves" not in [element.value for element in page.subheader]


@pytest.fixture
def page_with(open_page, service, dataset, monkeypatch):
    """Results that differ from the stand-in's own in some fields."""

    def open_with(change):
        answered = stand_in_api.results_of

        def changed(*args):
            results = answered(*args)
            return results | change(results)

        monkeypatch.setattr(stand_in_api, "results_of", changed)
        service.add_job(dataset["dataset_id"], state="succeeded")
        return open_page(tab="results", dataset=dataset["dataset_id"])

    return open_with


def texts_of(page):
    return [element.value for element in [*page.markdown, *page.caption, *page.info]]


def test_what_had_its_turn_and_lost_was_not_merely_skipped(page_with):
    def change(results):
        tried = {"status": "skipped", "tried": "last stage, 6 epochs", "reason": "It did not help."}
        return {"leaderboard": [*results["leaderboard"][:-1], results["leaderboard"][-1] | tried]}

    assert rows(page_with(change))[-1]["Note"] == "not kept"


def lines_of(row):
    return [line.removeprefix(":small[:gray[").removesuffix("]]") for line in row["Network"].split("  \n")]


def test_a_row_says_what_was_tried_on_how_many_images_and_why_it_ended(page):
    assert [lines_of(row) for row in rows(page)] == [
        [
            r"**efficientnet\_lite0**",
            "learning rate 3e-4, 5 epochs · 102 images",
            r"Stopped early\: no better for 5 epochs.",
        ],
        [r"efficientnet\_lite1", "features of 3 depths · 64 images"],
        ["resnet18", "features · 102 images"],
        ["Baseline: always the most frequent class"],
        [r"vit\_base", "The time budget was used up."],
    ]


def test_ties_are_the_service_s_word_even_where_the_intervals_overlap(page_with):
    page = page_with(lambda results: {"leaderboard": [row | {"tie": False} for row in results["leaderboard"]]})
    assert not any("tie" in row["Note"] for row in rows(page))


def test_old_results_that_never_named_a_tie_are_judged_by_their_intervals(page_with):
    def old(results):
        new = ("tie", "tried", "train_images")
        return {
            "leaderboard": [{k: v for k, v in row.items() if k not in new} for row in results["leaderboard"]],
            **dict.fromkeys(("calibration", "imbalance")),
            **{name: [] for name in ("suspect_labels", "learning_curve")},
        }

    page = page_with(old)
    assert not page.exception
    assert [row["Note"] for row in rows(page)][:2] == ["chosen", "tie"]
    assert lines_of(rows(page)[1]) == [r"efficientnet\_lite1"]
    headings = [element.value for element in page.subheader]
    assert "Labels to look at again" not in headings
    assert "Would more images help?" not in headings


def ensemble(results):
    members = [{"name": "efficientnet_lite0", "weight": 0.6}, {"name": "resnet18", "weight": 0.4}]
    best = results["best_model"] | {"name": "ensemble", "strategy": "ensemble", "members": members}
    first = results["leaderboard"][0] | {"name": "ensemble", "strategy": "ensemble", "tried": None}
    return {"best_model": best, "leaderboard": [first, *results["leaderboard"][1:]]}


def test_an_ensemble_names_its_members_and_what_an_answer_costs(page_with):
    page = page_with(ensemble)
    assert page.header[0].value.startswith("An ensemble of 2 networks is right on 90 of 100 images")
    assert any(
        text.startswith(r"efficientnet\_lite0 (60%), resnet18 (40%) answer together; an answer takes as long")
        for text in texts_of(page)
    )
    assert (lines_of(rows(page)[0])[0], rows(page)[0]["Training"]) == ("**Ensemble**", "several networks together")


@pytest.mark.parametrize(
    ("temperature", "said"),
    [
        (1.4, "It was surer than it should be."),
        (0.8, "It was less sure than it could be."),
        (1.0, "needed hardly any correction"),
        (0.97, "needed hardly any correction"),
    ],
)
def test_calibration_is_said_in_one_sentence(page_with, temperature, said):
    page = page_with(lambda results: {"calibration": results["calibration"] | {"temperature": temperature}})
    [sentence] = [text for text in texts_of(page) if said in text]
    assert "judged by 128 images that it had not learned from" in sentence
    assert ("from 8.4% to 2.1%" in sentence) == (temperature in (1.4, 0.8))


def test_a_correction_that_did_not_close_the_gap_is_told_by_the_log_loss(page_with):
    page = page_with(lambda results: {"calibration": results["calibration"] | {"ece_after": 0.09}})
    assert any("(log-loss) went from 0.420 to 0.360" in text for text in texts_of(page))


def test_the_numbers_behind_the_confidence_stand_in_a_table(page):
    assert page.table[1].value.to_dict("records") == [
        {"Measured": "As trained", "Gap (ECE)": "8.4%", "Log-loss": "0.420", "Images": "128"},
        {"Measured": "Corrected", "Gap (ECE)": "2.1%", "Log-loss": "0.360", "Images": "128"},
        {"Measured": "Test images", "Gap (ECE)": "5.0%", "Log-loss": "0.310", "Images": "31"},
    ]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            {"ratio": 7.0, "balanced": True, "ranked_by": "macro_f1", "automatic": True},
            ("7 times", "uneven", "macro F1"),
        ),
        ({"ratio": 7.2, "balanced": False, "ranked_by": "accuracy", "automatic": False}, ("7.2 times", "Every image")),
    ],
)
def test_uneven_classes_are_said_with_what_followed(page_with, found, said):
    page = page_with(lambda _: {"imbalance": found})
    [box] = [box.value for box in page.info if "times the images" in box.value]
    assert all(word in box for word in said)
    assert ("> Uneven classes and Rank networks by." in box) == found["automatic"]


@pytest.mark.parametrize(("ranked_by", "shown"), [("accuracy", "90.3%"), ("macro_f1", "77.0%")])
def test_the_validation_column_is_the_score_that_ranked(page_with, ranked_by, shown):
    def change(results):
        rows = [row | {"val_macro_f1": 0.77} for row in results["leaderboard"]]
        return {"leaderboard": rows, "imbalance": results["imbalance"] | {"ranked_by": ranked_by}}

    assert rows(page_with(change))[0]["Validation"] == shown


def test_even_classes_need_no_words(page):
    assert not any("times the images" in box.value for box in page.info)


def captions_of_suspects(page):
    captions = [image.caption for element in page.image for image in element.proto.imgs]
    return [caption for caption in captions if caption.startswith("labelled")]


def test_suspect_labels_are_a_gallery_to_leaf_through(page):
    assert any(text.startswith("**15 labels** may not fit their pictures") for text in texts_of(page))
    assert any(text.startswith("Nothing was changed.") for text in texts_of(page))
    shown = captions_of_suspects(page)
    assert len(shown) == 12
    assert shown[0] == "labelled **circle**, looks like **square** (99%)  \n0.png"


def test_a_run_that_found_no_suspect_says_so(page_with):
    page = page_with(lambda _: {"suspect_labels": []})
    assert "No label was found that may not fit its picture." in texts_of(page)


def test_the_learning_curve_comes_with_its_answer(page):
    assert "More pictures would probably help." in texts_of(page)


def test_the_learning_curve_has_its_band():
    points = stand_in_answers.FINDINGS["learning_curve"]
    high, low, line = charts.learning_curve(points).data
    assert list(line.x) == [32, 64, 96, 128]
    assert list(line.y) == [point["accuracy"] for point in points]
    assert list(zip(low.y, high.y, strict=True)) == [tuple(point["accuracy_ci95"]) for point in points]
    assert low.fill == "tonexty"
