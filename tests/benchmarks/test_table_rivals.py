import numpy as np
import pytest

from benchmarks import table_rivals, tables
from benchmarks.competitors import run_tables
from benchmarks.table_rivals import rows, scored, sides_of, write_table


@pytest.fixture(scope="module")
def wine():
    return tables.divided(tables.as_csv("wine"), 42)


def part(side, seed, folds, held_out, **more):
    common = {"set": "wine", "metric": "accuracy", "side": side, "seed": seed, "folds": folds, "held_out": held_out}
    return {**common, **more}


def told(*models, computed):
    return {"models": np.array(models), "computed": np.array(computed)}


def test_a_rival_answers_on_the_same_folds_and_held_out_rows(wine, tmp_path):
    """scikit-learn's linear model as the rival: the same scores as where `benchmarks.tables` fits it."""
    ready, division = wine
    write_table(tmp_path / "wine.npz", ready, division, seed=42)
    table = run_tables.read(tmp_path / "wine.npz")
    linear = tables.alone(tables.OTHERS[0], ready.truth.task, 42)
    answers = run_tables.answers(linear, table)
    here = tables.scores_of(lambda: tables.alone(tables.OTHERS[0], ready.truth.task, 42), ready, division)
    assert scored(ready, division, answers) == pytest.approx(here)
    assert table.seed == 42


def test_held_out_rows_are_in_no_fold(wine, tmp_path):
    ready, division = wine
    write_table(tmp_path / "wine.npz", ready, division, seed=42)
    table = run_tables.read(tmp_path / "wine.npz")
    assert len(table.fold) == len(table.train) == len(ready.features) - len(table.test)
    assert sorted(set(table.fold)) == [0, 1, 2, 3, 4]


def test_the_best_is_chosen_by_folds_and_never_by_the_held_out_rows():
    scores = [(0.90, 0.99), (0.95, 0.80), (0.91, 1.00)]
    default, best = sides_of("xgboost", scores, told("a", "b", "c", computed=[1.0, 2.0, 3.0]))
    assert (default["side"], default["model"], default["computed"]) == ("xgboost", "a", 1.0)
    assert (best["side"], best["model"], best["held_out"]) == ("xgboost, best of 3", "b", 0.80)
    assert best["computed"] == 6.0  # what all settings needed


def test_a_search_that_has_chosen_is_one_side():
    [side] = sides_of("flaml", [(0.9, 0.8)], told("a", computed=[60.0]))
    assert side["side"] == "flaml"


def test_every_side_has_a_row():
    sides = {name for rival in table_rivals.RIVALS for name in (rival, f"{rival}, best of {len(run_tables.LIGHTGBM)}")}
    assert set(table_rivals.SIDES) == (sides - {"flaml, best of 4"}) | {tables.OURS, *tables.OTHERS}
    assert len(run_tables.LIGHTGBM) == len(run_tables.XGBOOST)


def test_gaps_are_of_the_seeds_that_both_have():
    found = [part(tables.OURS, 1, 0.9, 0.8), part(tables.OURS, 2, 0.1, 0.1)]
    found += [part("lightgbm", 1, 0.95, 0.7, computed=2.0)]
    ours, rival = rows(found)
    assert ours[3:6] == ("0.5000", "0.4500", "")
    assert rival == ("wine, accuracy", "lightgbm", "1", "0.9500", "0.7000", "+5.00, -10.00", "2.00")


def test_what_was_not_measured_is_left_out():
    assert rows([]) == []
    assert [row[1] for row in rows([part("flaml", 42, 0.9, 0.9, computed=60.0)])] == ["flaml"]
