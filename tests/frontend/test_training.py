"""How a network was trained, in a few lines under its results."""

from __future__ import annotations

import pytest
import stand_in_api

from frontend.widgets import charts, training

F1 = {"epoch": 2, "train_loss": 0.3, "val_loss": 0.4, "val_accuracy": 0.25, "val_macro_f1": 0.5}
EXPERIMENT = {
    "loss": {"type": "focal", "alpha": [0.5, 0.75], "gamma": 2.0, "label_smoothing": 0.0, "balanced": False},
    "best_epoch": 2,
    "at_best_epoch": {"val_accuracy": 0.25, "val_macro_f1": 0.5},
    "checkpoint": "best_model_epoch2_f1_0.5000.pt",
    "parameters": 3_400_000,
    "trainable_parameters": 3_300_000,
}


def results(experiment, *, epochs=3):
    history = [F1 | {"epoch": number} for number in range(1, epochs + 1)]
    return {"best_model": {"name": "lite0"}, "history": {"lite0": history}, "experiment": experiment}


@pytest.mark.parametrize(
    ("changes", "epochs", "expected"),
    [
        (
            {},
            3,
            (
                "Trained for 3 epochs by focal loss (alpha [0.5, 0.75], gamma 2); the best on validation was number 2:"
                " macro F1 50.0%."
            ),
        ),
        (
            {"loss": {"type": "bce", "label_smoothing": 0.0}, "best_epoch": 1},
            1,
            "Trained for 1 epoch by binary cross-entropy: macro F1 50.0% on validation.",
        ),
        (
            {"loss": {"type": "focal", "alpha": "dynamic"}, "at_best_epoch": {"val_accuracy": 0.25}},
            2,
            "Trained for 2 epochs by focal loss (alpha dynamic); the best on validation was number 2: accuracy 25.0%.",
        ),
    ],
)
def test_loss_and_best_epoch_are_told(changes, epochs, expected):
    told = training.in_short(results(EXPERIMENT | changes, epochs=epochs))
    assert told == [expected, "3.3 M of its 3.4 M weights were trained; the others stayed as they were."]


@pytest.mark.parametrize("experiment", [None, {"loss": None, "best_epoch": None, "parameters": 5}])
def test_of_a_linear_head_nothing_is_told(experiment):
    assert training.in_short(results(experiment)) == []


def test_a_network_that_trained_whole_says_no_more_than_that():
    same = EXPERIMENT | {"trainable_parameters": 3_400_000}
    assert training.in_short(results(same))[1:] == ["All of its 3.4 M weights were trained."]


def test_the_curve_shows_the_score_that_chose_the_epoch():
    by_f1 = {"lite0": [F1, F1 | {"epoch": 3}]}
    assert charts.chosen_by_f1(by_f1)
    assert list(charts.score_curves(by_f1, by_f1=True).data[0].y) == [0.5, 0.5]
    by_accuracy = {"lite0": [{key: value for key, value in F1.items() if key != "val_macro_f1"}]}
    assert not charts.chosen_by_f1(by_accuracy)
    assert list(charts.score_curves(by_accuracy, by_f1=False).data[0].y) == [0.25]


def test_the_page_has_the_lines_and_the_checkpoint(open_page, service, monkeypatch):
    answered = stand_in_api.results_of
    monkeypatch.setattr(stand_in_api, "results_of", lambda *args: answered(*args) | {"experiment": EXPERIMENT})
    dataset = service.add_dataset()
    service.add_job(dataset["dataset_id"], state="succeeded")
    page = open_page(tab="results", dataset=dataset["dataset_id"])
    assert not page.exception
    assert any("3.3 M of its 3.4 M weights were trained" in one.value for one in page.markdown)
    assert "Download best epoch" in [button.label for button in page.get("download_button")]
