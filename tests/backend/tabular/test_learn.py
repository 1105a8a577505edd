"""A table in, a model out: what it says of itself, and what it answers."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backend.contracts import RunControl
from backend.contracts.table import TableInfo, TableRecipe
from backend.errors import InputError, JobCancelled, NotFoundError, RecipeError, TableError
from backend.tabular.columns import describe_columns
from backend.tabular.learn import TableRun, learn
from backend.tabular.model import TableModel, rows_of
from backend.tabular.pace import Pace
from backend.tabular.reading import RawTable

QUICK = ("linear", "boosting")


def people(rows=240):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "nr": range(1, rows + 1),
            "city": generator.choice(["Ulm", "Bonn", "Köln"], rows),
            "age": generator.integers(18, 90, rows).astype(float),
            "since": pd.date_range("2024-01-01", periods=rows).strftime("%d.%m.%Y"),
            "always": "x",
        }
    )
    frame["buys"] = np.where((frame["city"] == "Ulm") & (frame["age"] < 60), "yes", "no")
    frame["spends"] = frame["age"] * 2 + (frame["city"] == "Bonn") * 50 + generator.normal(size=rows)
    frame.loc[::10, "age"] = np.nan
    return frame


def trained(frame, tmp_path, *, control=None, **recipe):
    columns, decimal = describe_columns(RawTable(frame, "csv"))
    info = TableInfo(dataset_id="ds-1", name="people", rows=len(frame), columns=columns, decimal=decimal, digest="0")
    options = {"models": QUICK, "time_budget_s": 4.0, **recipe}
    run = TableRun(job_id="job-1", model_id="model-1", folder=tmp_path / "model")
    recipe = TableRecipe(dataset_id="ds-1", **options)
    results, _ = learn(frame, info, recipe, run=run, control=control or RunControl())
    return results


@pytest.fixture(scope="module")
def bought(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bought")
    return trained(people(), folder, target="buys"), folder / "model"


def test_a_class_is_predicted_better_than_by_guessing(bought):
    results, _ = bought
    assert results.task == "classification"
    assert results.test.score > 0.9 > results.test.baseline
    assert {row.name for row in results.leaderboard} >= {"baseline", *QUICK}
    ranked = [row for row in results.leaderboard if row.status == "ok"]
    assert [row.rank for row in ranked] == list(range(1, len(ranked) + 1))
    assert ranked[0].score == max(row.score for row in ranked)
    assert sum(map(sum, results.confusion_matrix.matrix)) == results.test.rows == results.split["test"]


def test_columns_that_say_nothing_are_left_out_with_the_reason(bought):
    results, _ = bought
    assert {one.column for one in results.left_out} == {"nr", "always"}
    assert all(one.reason for one in results.left_out)
    assert results.importances[0].column in {"city", "age"}
    assert any("dates" in note for note in results.notes)


def test_what_was_saved_answers_new_rows(bought):
    _, folder = bought
    model = TableModel.open(folder)
    young, old = model.predict(
        rows_of(
            [
                {"city": "Ulm", "age": 30, "since": "05.03.2024", "spends": "65", "more": 1},
                {"city": "Paris", "age": "120", "since": None, "spends": ""},
            ]
        )
    )
    assert young.prediction == "yes"
    assert sum(young.probabilities.values()) == pytest.approx(1.0)
    assert young.confidence == max(young.probabilities.values())
    assert young.unusual == ()
    assert set(old.unusual) == {"city", "age"}


def test_a_missing_column_is_named(bought):
    _, folder = bought
    with pytest.raises(TableError, match=r"columns are missing: age.*Did you mean 'Age'\?"):
        TableModel.open(folder).predict(rows_of([{"city": "Ulm", "Age": 3, "since": "", "spends": 1}]))


def test_an_amount_is_predicted_with_an_interval_that_holds_nine_of_ten(tmp_path):
    frame = people()
    results = trained(frame, tmp_path, target="spends", exclude=("buys",))
    assert results.task == "regression"
    assert results.metric == "r2"
    assert results.test.r2 > 0.6 > results.test.baseline  # a tenth of the ages is unknown
    assert results.confusion_matrix is None
    assert len(results.residuals) == results.test.rows
    told = TableModel.open(tmp_path / "model").predict(frame)
    held = [one.low <= truth <= one.high for one, truth in zip(told, frame["spends"], strict=True)]
    assert np.mean(held) > 0.8


def test_a_column_that_gives_the_target_away_is_said(tmp_path):
    frame = people()
    frame["invoice"] = np.where(frame["buys"] == "yes", "sent", "none")
    results = trained(frame, tmp_path, target="buys")
    (leak,) = results.leaks
    assert leak.column == "invoice"
    assert leak.score_without < leak.score
    assert any("'invoice' alone" in note for note in results.notes)


def test_the_same_seed_gives_the_same_answers(tmp_path):
    first = trained(people(), tmp_path / "a", target="buys", models=("linear",))
    again = trained(people(), tmp_path / "b", target="buys", models=("linear",))
    assert first.test == again.test


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "bys"}, "Did you mean 'buys'"),
        ({"target": "always"}, "cannot be predicted"),
        ({"target": "city", "task": "regression"}, "words, not numbers"),
        ({"target": "spends", "task": "classification"}, "different values"),
        ({"target": "buys", "models": ("foresst",)}, "Did you mean 'forest'"),
        ({"target": "buys", "exclude": ("nothing",)}, "no column 'nothing'"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, options, words):
    with pytest.raises(RecipeError, match=words):
        trained(people(), tmp_path, **options)


def test_too_little_to_learn_from_is_said(tmp_path):
    with pytest.raises(TableError, match="at least 20"):
        trained(people(12), tmp_path, target="buys")
    with pytest.raises(TableError, match="No column is left"):
        trained(people()[["always", "buys"]], tmp_path, target="buys")


def test_of_very_many_rows_some_are_drawn_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("backend.tabular.preparing.MOST_ROWS", 100)
    results = trained(people(), tmp_path, target="buys", models=("linear",))
    assert results.split["train"] + results.split["test"] == 100
    assert any(note.startswith("100 of 240 rows were drawn") for note in results.notes)


def test_one_that_is_cancelled_leaves_nothing(tmp_path):
    with pytest.raises(JobCancelled):
        trained(people(), tmp_path, target="buys", control=RunControl(cancelled=lambda: True))
    assert not (tmp_path / "model").exists()


def test_a_model_that_does_not_fit_the_budget_is_skipped_with_the_reason(tmp_path):
    results = trained(people(), tmp_path, target="buys", time_budget_s=0.01, models=None)
    skipped = [row for row in results.leaderboard if row.status == "skipped"]
    assert skipped
    assert all("time_budget_s" in row.reason for row in skipped)
    assert results.best_model == "linear"


def test_of_more_rows_than_the_budget_affords_some_are_drawn_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("backend.tabular.learn.affordable_rows", lambda *_, **__: 120)
    results = trained(people(), tmp_path, target="spends", models=("linear",))
    assert results.split["train"] + results.split["test"] == 120
    (note,) = [note for note in results.notes if "were drawn" in note]
    assert note.startswith("120 of 240 rows")
    assert "time_budget_s" in note


def test_a_model_that_would_not_end_in_time_is_refused_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setattr("backend.tabular.compare.TOLD_FROM_ROWS", 100)
    monkeypatch.setattr("backend.tabular.compare.pace_of", lambda *_, **__: Pace(1_000, 900.0, 225.0))
    results = trained(people(), tmp_path, target="buys", time_budget_s=30)
    (skipped,) = [row for row in results.leaderboard if row.status == "skipped"]
    assert skipped.name == "boosting"
    assert "would take about" in skipped.reason
    assert "told from fits on up to 1,000 rows" in skipped.reason


def test_whoever_cancels_after_the_first_model_keeps_it(tmp_path):
    seen = []
    control = RunControl(
        report=lambda progress: seen.append(progress.message), cancelled=lambda: "Tried linear model" in seen
    )
    results = trained(people(), tmp_path, target="buys", models=None, time_budget_s=60, control=control)
    assert control.ended_early
    assert results.best_model == "linear"
    assert results.notes[0].startswith("The job was cancelled")
    assert {row.reason for row in results.leaderboard if row.status == "skipped"} == {
        "The job was cancelled before it had ended."
    }
    assert TableModel.open(tmp_path / "model").info.name == "Linear model"


class Bomb:
    def __reduce__(self):
        return (open, ("harmed", "w"))


def test_a_foreign_file_is_not_opened(bought, tmp_path, monkeypatch):
    _, folder = bought
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "model"
    copy.mkdir()
    (copy / "table_model.json").write_bytes((folder / "table_model.json").read_bytes())
    with pytest.raises(NotFoundError, match="is gone"):
        TableModel.open(copy)
    (copy / "member_1.skops").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="damaged"):
        TableModel.open(copy)
    with zipfile.ZipFile(copy / "member_1.skops", "w") as archive:
        archive.writestr(
            "schema.json",
            '{"__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "content": "system",'
            ' "protocol": 2, "_skops_version": "0.16.0"}',
        )
    with pytest.raises(InputError):
        TableModel.open(copy)
    assert not (tmp_path / "harmed").exists()


def test_a_model_that_is_deleted_while_it_is_opened_is_not_found(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "is_file", lambda _: True)  # a look before the reading would still have found it
    with pytest.raises(NotFoundError, match="no model of a table in 'model-1'"):
        TableModel.open(tmp_path / "model-1")
