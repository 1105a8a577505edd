"""How long a fit will take, told from small ones, and how many rows that leaves."""

import numpy as np
import pandas as pd
import pytest

from backend.contracts import RunControl
from backend.errors import JobCancelled
from backend.tabular import pace as pace_module
from backend.tabular.features import FeatureNames
from backend.tabular.fitting import Learner
from backend.tabular.models import MODELS
from backend.tabular.pace import Pace, affordable_rows, pace_of
from backend.tabular.scoring import Truth

ROWS = 100_000


@pytest.fixture
def timed(monkeypatch):
    """Fits that take as long as is said, on a clock of their own; returns the rows of each."""
    told = {"seconds": lambda rows: rows / 1_000, "rows": []}

    def fit(learner, features, truth, learn, answer):
        told["rows"].append(len(learn))
        return told["seconds"](len(learn))

    monkeypatch.setattr(pace_module, "_timed", fit)
    return told


def learner():
    spec = MODELS.get("linear")
    names = FeatureNames(numbers=("a",), categories=(), texts=())
    return Learner(spec, spec.settings[0], task="regression", features=names, classes=0, seed=1)


def table(rows=ROWS):
    return pd.DataFrame({"a": np.zeros(rows)}), Truth("regression", np.zeros(rows))


def test_what_a_fit_always_needs_is_not_multiplied(timed):
    timed["seconds"] = lambda rows: 0.5 + rows / 100_000
    found = pace_of(learner(), *table(), limit_s=1_000, control=RunControl())
    assert found.at(80_000) == pytest.approx(0.5 + 0.8)
    assert timed["rows"] == [1_000, 4_000, 16_000]


def test_time_that_grows_with_the_square_is_foretold_so(timed):
    timed["seconds"] = lambda rows: (rows / 1_000) ** 2 / 100
    found = pace_of(learner(), *table(), limit_s=1e9, control=RunControl())
    assert found.at(80_000) == pytest.approx(64, rel=0.01)


def test_fits_end_where_the_limit_is_out_of_reach(timed):
    pace_of(learner(), *table(), limit_s=2.0, control=RunControl())
    assert timed["rows"] == [1_000]


def test_all_rows_are_taken_where_there_is_time(timed):
    assert affordable_rows([learner()], *table(), within_s=1e6, control=RunControl()) == ROWS
    assert affordable_rows([learner()], *table(5_000), within_s=0.0, control=RunControl()) == 5_000


def test_so_many_rows_are_taken_as_fit_the_time(timed):
    found = affordable_rows([learner()], *table(), within_s=100.0, control=RunControl())
    assert 5 * 0.8 * found / 1_000 <= 100 < 5 * 0.8 * found * 1.1 / 1_000
    assert found % 1_000 == 0


def test_a_few_rows_are_learned_from_in_any_case(timed):
    assert affordable_rows([learner()], *table(), within_s=0.0, control=RunControl()) == 2_000


def test_whoever_cancels_is_heard_between_fits(timed):
    with pytest.raises(JobCancelled):
        pace_of(learner(), *table(), limit_s=1e6, control=RunControl(cancelled=lambda: True))


def test_a_pace_of_noise_foretells_nothing_negative():
    assert Pace(rows=4_000, seconds=0.1, before=0.3).at(100_000) >= 0.1
