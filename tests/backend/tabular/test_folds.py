"""Every row once, equal rows together, classes in their shares."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import TableError
from backend.tabular.folds import divide
from backend.tabular.scoring import Truth


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(20, 200),
    classes=st.integers(2, 5),
    repeated=st.integers(0, 10),
    share=st.floats(0.05, 0.6),
    seed=st.integers(0, 5),
)
def test_rows_are_divided_soundly(rows, classes, repeated, share, seed):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=rows)
    values[:repeated] = values[0]
    features = pd.DataFrame({"a": values})
    targets = np.concatenate([np.arange(classes).repeat(2), generator.integers(0, classes, rows)])[:rows]
    targets[:repeated] = targets[0]
    division = divide(features, Truth("classification", targets, classes), test_size=share, seed=seed)
    assert sorted([*division.train, *division.test]) == list(range(rows))
    assert not set(values[division.train]) & set(values[division.test])
    answered = np.concatenate([answer for _, answer in division.folds])
    assert sorted(answered) == sorted(division.train)
    for learn, answer in division.folds:
        assert not set(values[learn]) & set(values[answer])
        assert len(learn)
    again = divide(features, Truth("classification", targets, classes), test_size=share, seed=seed)
    assert list(again.test) == list(division.test)


def test_the_held_out_rows_have_the_classes_shares():
    targets = np.array([0] * 80 + [1] * 20)
    division = divide(pd.DataFrame({"a": np.arange(100.0)}), Truth("classification", targets, 2), test_size=0.2, seed=1)
    assert list(np.bincount(targets[division.test])) == [16, 4]


def test_amounts_small_and_large_are_in_every_part():
    amounts = np.arange(200.0)
    division = divide(pd.DataFrame({"a": amounts}), Truth("regression", amounts), test_size=0.2, seed=1)
    assert abs(amounts[division.test].mean() - amounts.mean()) < 10
    assert len(division.test) == 40


@pytest.mark.parametrize("values", [[1.0, 2.0] * 20, [1.0] * 40, [*map(float, range(9))] * 5])
def test_rows_that_hardly_differ_are_refused_in_words(values):
    features = pd.DataFrame({"a": np.array(values)})
    truth = Truth("classification", (np.array(values) % 2).astype(int), 2)
    with pytest.raises(TableError, match="rows differ in what is learned from"):
        divide(features, truth, test_size=0.2, seed=0)


def test_ten_different_rows_are_divided():
    values = np.arange(10.0).repeat(4)
    division = divide(pd.DataFrame({"a": values}), Truth("regression", values), test_size=0.2, seed=0)
    assert len(division.folds) > 1
    assert len(division.test)
