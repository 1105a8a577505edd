"""A head is solved once for the same features, targets and plan, and anew for others or after damage."""

from dataclasses import replace

import numpy as np
import pytest

from backend.engine import head_store
from backend.engine.head_store import remembered_probe
from backend.engine.probe import HeadPlan


@pytest.fixture
def problem():
    random = np.random.default_rng(0)
    targets = np.arange(40) % 2
    return (random.normal(size=(40, 6)) + targets[:, None]).astype(np.float32), targets


@pytest.fixture
def fits(monkeypatch):
    counted = []
    fit = head_store.fit_probe
    monkeypatch.setattr(head_store, "fit_probe", lambda *args, **how: counted.append(1) or fit(*args, **how))
    return counted


def solve(problem, tmp_path, **plan):
    features, targets = problem
    return remembered_probe(
        features, targets, num_classes=2, plan=replace(HeadPlan(balanced=False), **plan), cache_dir=tmp_path
    )


def test_the_second_time_is_a_read_of_the_same_head(problem, tmp_path, fits):
    first, second = solve(problem, tmp_path), solve(problem, tmp_path)
    assert len(fits) == 1
    for name in ("weight", "bias", "out_of_fold"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert (first.regularisation, first.cv_accuracy) == (second.regularisation, second.cv_accuracy)


def test_anything_that_changes_the_head_is_solved_anew(problem, tmp_path, fits):
    features, targets = problem
    solve(problem, tmp_path)
    solve(problem, tmp_path, seed=7)
    solve(problem, tmp_path, folds=3)
    solve(problem, tmp_path, balanced=True)
    solve(problem, tmp_path, groups=np.arange(40) // 2)
    solve((features + 1, targets), tmp_path)
    solve((features, 1 - targets), tmp_path)
    assert len(fits) == 7


def test_a_damaged_file_is_solved_anew(problem, tmp_path, fits):
    first = solve(problem, tmp_path)
    (file,) = (tmp_path / head_store.FOLDER).iterdir()
    file.write_bytes(file.read_bytes()[:100])
    again = solve(problem, tmp_path)
    assert len(fits) == 2
    np.testing.assert_array_equal(first.weight, again.weight)
