"""Results and answers where an image may have several labels, drawn without a service."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from frontend.widgets import answer_card, corrections, costs, labels, leaderboard

RESULTS = {
    "task": "multilabel",
    "job_id": "job-1",
    "model_id": "model-1",
    "dataset_id": "ds-1",
    "split": {"train": 40, "val": 10, "test": 20, "seed": 1, "strategy": "stratified"},
    "test": {
        "accuracy": 0.55,
        "macro_f1": 0.61,
        "mean_average_precision": 0.7,
        "hamming_loss": 0.1,
    },
    "per_class": [
        {
            "label": "crack",
            "precision": 0.9,
            "recall": 0.9,
            "f1": 0.9,
            "support": 10,
            "threshold": 0.4,
            "average_precision": 0.95,
        },
        {
            "label": "hole",
            "precision": 0.5,
            "recall": 0.3,
            "f1": 0.37,
            "support": 10,
            "threshold": 0.2,
            "average_precision": None,
        },
    ],
    "label_confusion": [
        {"label": "crack", "matrix": [[9, 1], [1, 9]]},
        {"label": "hole", "matrix": [[7, 3], [7, 3]]},
    ],
}


def test_the_answer_says_what_is_found_and_what_is_right_of_ten():
    assert labels.totals(RESULTS["label_confusion"]) == (4, 8, 12)
    assert labels.sentence(RESULTS, "lite") == (
        "lite finds 6 of 10 of the labels on images it never saw; of 10 that it names, 8 are there."
    )
    assert "12 of 20 labels found, 4 false alarms" in labels.measured(RESULTS)


def test_the_weakest_label_comes_first():
    assert [score["label"] for score in labels.weakest_first(RESULTS["per_class"])] == ["hole", "crack"]


def drawn(results):
    from frontend.widgets import labels

    class Api:
        base_url = "http://nobody"

        def thresholds(self, model_id, asked):
            if "threshold" in asked:
                threshold, miss = float(asked["threshold"][0].partition("=")[2]), None
            else:
                threshold, miss = 1 / (1 + asked["miss_cost"]), asked["miss_cost"]
            one = {"precision": 0.5, "recall": 0.3, "f1": 0.37, "support": 10, "found": 3, "missed": 7}
            return {
                "labels": [
                    {
                        **one,
                        "label": name,
                        "threshold": threshold,
                        "false_alarms": 3,
                        "curve": [[0.1, 0.5, 1.0], [0.6, 1.0, 0.3]],
                    }
                    for name in ("crack", "hole")
                ],
                "cost": 12.0 if miss else None,
                "cost_of_model": 20.0 if miss else None,
            }

        def label_predictions(self, job_id, **asked):
            return {"images": [{"url": "/1", "confidences": [0.9, 0.12]}] * 7}

        def image_at(self, address):
            return None

    labels.show(Api(), results)


@pytest.fixture
def page():
    return AppTest.from_function(drawn, kwargs={"results": RESULTS}, default_timeout=120).run()


def test_the_labels_their_counts_and_their_images_are_drawn(page):
    assert not page.exception
    table = page.dataframe[0].value.to_dict("records")
    assert [row["label"] for row in table] == ["hole", "crack"]
    assert (table[0]["missed"], table[0]["alarms"], table[1]["average"]) == (7, 3, 0.95)
    assert page.selectbox[0].value == "hole"
    assert page.select_slider[0].value == 0.2
    assert any("finds **3 of 10**" in one.value for one in page.markdown)


def test_costs_are_drawn_once_they_are_asked_for(page):
    assert not any("which cost" in one.value for one in page.markdown)
    page.toggle[0].set_value(True).run()
    assert not page.exception
    assert any("which cost 12; the model's own thresholds 20" in one.value for one in page.markdown)
    page.select_slider[1].set_value(20.0).run()
    assert any("**0.05** on" in one.value for one in page.markdown)


@pytest.mark.parametrize(
    ("ratio", "words"), [(1.0, "both alike"), (10.0, "a miss, 10 times"), (0.1, "a false alarm, 10 times")]
)
def test_a_ratio_is_said_in_words(ratio, words):
    assert costs._in_words(ratio) == words


def test_the_leaderboard_shows_the_score_that_ranked():
    row = {"val_accuracy": 0.1, "val_macro_f1": 0.2, "val_mean_average_precision": 0.3}
    for name, score in (("accuracy", 0.1), ("macro_f1", 0.2), ("mean_average_precision", 0.3)):
        assert leaderboard.ranking_score({"imbalance": {"ranked_by": name}}, row) == score


def test_an_answer_names_what_is_present_and_marks_it():
    said = [
        {"label": "hole", "confidence": 0.3, "present": True},
        {"label": "crack", "confidence": 0.2, "present": False},
    ]
    assert answer_card._what(said) == "hole"
    assert answer_card._what([{**said[0], "present": False}, said[1]]) == "None of the labels"
    assert answer_card._what([{"label": "cat", "confidence": 0.9}]) == "cat · 90.0%"
    bars = answer_card.bars(said)
    assert answer_card.bars(said[:1]).count("✓") == bars.count("✓") == 2  # in the bar, and for a screen reader
    assert "<strong>hole</strong>" in bars


def test_undoing_gives_an_image_all_its_labels_back():
    difference = {
        "excluded": [],
        "restored": [],
        "relabelled": [
            {"image_id": "a", "labels": ["hole"], "before": ["crack", "hole"]},
            {"image_id": "b", "labels": ["hole"], "before": []},
            {"image_id": "c", "labels": ["hole"], "before": ["crack"]},
        ],
    }
    assert corrections.opposite(difference)["relabel"] == {"a": ["crack", "hole"], "b": [], "c": "crack"}
