"""A training on a table that is cut short at any write of its journal goes on, and ends as if nothing had been."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from backend.contracts import RunControl
from backend.contracts.table import TableInfo, TableRecipe
from backend.storage import journal as journal_module
from backend.storage.journal import FileJournal
from backend.tabular import fitting
from backend.tabular.columns import describe_columns
from backend.tabular.learn import TableRun, learn
from backend.tabular.reading import RawTable

TIMES = {"train_seconds", "predict_ms_per_row"}
FOLDS = 5


class PowerCut(BaseException):
    """Goes through everything, as a kill does."""


@pytest.fixture
def cut(monkeypatch):
    """The journal's disk: `left` writes succeed, the next one dies. None: all do."""
    disk = {"left": None, "written": 0}
    write = journal_module.atomic_write

    def cutting(path, data):
        if disk["left"] == 0:
            raise PowerCut
        write(path, data)
        disk["written"] += 1
        disk["left"] = None if disk["left"] is None else disk["left"] - 1

    monkeypatch.setattr(journal_module, "atomic_write", cutting)
    return disk


@pytest.fixture
def fits(monkeypatch):
    """How often each model was fitted with each settings."""
    counted = Counter()
    fit = fitting.Learner.fit

    def counting(self, features, values):
        pipeline = fit(self, features, values)
        counted[self.spec.name, self.words()] += 1
        return pipeline

    monkeypatch.setattr(fitting.Learner, "fit", counting)
    return counted


def train(folder, journal):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"city": generator.choice(["Ulm", "Bonn"], 90), "age": generator.integers(18, 90, 90) * 1.0})
    frame["buys"] = np.where((frame["city"] == "Ulm") ^ (generator.random(90) < 0.2), "yes", "no")
    columns, decimal = describe_columns(RawTable(frame, "csv"))
    info = TableInfo(dataset_id="ds-1", name="people", rows=90, columns=columns, decimal=decimal, digest="0")
    recipe = TableRecipe(dataset_id="ds-1", target="buys", models=("linear",), time_budget_s=600)
    run = TableRun(job_id="job-1", model_id="model-1", folder=folder, journal=journal)
    try:
        return learn(frame, info, recipe, run=run, control=RunControl())[0]
    finally:
        journal.close()  # as the system does when a process dies


def numbers(results):
    told = results.model_dump(exclude={"total_seconds"})
    told["leaderboard"] = [{key: row[key] for key in row.keys() - TIMES} for row in told["leaderboard"]]
    return told


def test_whatever_write_it_dies_at_nothing_is_fitted_twice_and_the_results_are_equal(tmp_path, cut, fits):
    whole = train(tmp_path / "whole", FileJournal(tmp_path / "job-0"))
    once, writes = Counter(fits), cut["written"]
    assert writes >= 8
    for place in (0, 3, writes // 2, writes - 1):
        fits.clear()
        cut["left"] = place
        with pytest.raises(PowerCut):
            train(tmp_path / f"model-{place}", FileJournal(tmp_path / f"job-{place + 1}"))
        assert not (tmp_path / f"model-{place}").exists()
        cut["left"] = None
        again = train(tmp_path / f"model-{place}", FileJournal(tmp_path / f"job-{place + 1}"))
        assert numbers(again) == numbers(whole)
        repeated = {key: count - once[key] for key, count in fits.items() if count != once[key]}
        assert sum(repeated.values()) <= FOLDS, f"write {place}: {repeated}"  # the one that was not written down
        assert all(count == FOLDS for count in repeated.values())


def test_the_time_of_earlier_attempts_counts(tmp_path, cut, monkeypatch):
    cut["left"] = 4
    with pytest.raises(PowerCut):
        train(tmp_path / "model", FileJournal(tmp_path / "job-1"))
    cut["left"] = None
    (tmp_path / "job-1" / "clock.json").write_text('{"used_s": 10000}')
    results = train(tmp_path / "model", FileJournal(tmp_path / "job-1"))
    assert results.total_seconds > 10_000
    assert not any("best of" in (row.tried or "") for row in results.leaderboard)  # no time for further settings


def test_what_stands_in_the_journal_is_not_done_again(tmp_path, fits):
    train(tmp_path / "one", FileJournal(tmp_path / "job-1"))
    fits.clear()
    train(tmp_path / "two", FileJournal(tmp_path / "job-1"))
    assert sum(fits.values()) <= 4  # the last fits alone: everything else stands in the journal
