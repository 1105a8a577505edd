"""Scores against scikit-learn's, intervals against their meaning."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, r2_score

from backend.tabular.scoring import Truth, choose_metric, class_scores, interval, matrix_of, more_scores, score


def answers(generator, truth, classes, *, right=0.7):
    said = np.where(generator.random(len(truth)) < right, truth, generator.integers(0, classes, len(truth)))
    return np.eye(classes)[said] * 0.8 + 0.2 / classes


def test_macro_f1_and_r2_are_scikit_learn_s():
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 4, 200)
    told = answers(generator, targets, 4)
    assert score("macro_f1", Truth("classification", targets, 4), told) == pytest.approx(
        f1_score(targets, told.argmax(axis=1), average="macro")
    )
    amounts = generator.normal(size=200)
    near = amounts + generator.normal(size=200) / 2
    assert score("r2", Truth("regression", amounts), near) == pytest.approx(r2_score(amounts, near))


def test_a_class_that_nobody_says_and_nobody_is_does_not_count():
    truth = Truth("classification", np.array([0, 1, 0, 1]), 3)
    assert score("macro_f1", truth, np.eye(3)[[0, 1, 0, 1]]) == 1.0


def test_uneven_classes_are_ranked_by_macro_f1():
    assert choose_metric(Truth("classification", np.array([0] * 90 + [1] * 10), 2)) == "macro_f1"
    assert choose_metric(Truth("classification", np.array([0] * 60 + [1] * 40), 2)) == "accuracy"
    assert choose_metric(Truth("regression", np.arange(9.0))) == "r2"


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(1)
    held = 0
    for seed in range(60):
        targets = generator.integers(0, 2, 300)
        told = np.where(generator.random(300) < 0.8, targets, 1 - targets)
        low, high = interval("accuracy", Truth("classification", targets, 2), np.eye(2)[told], seed=seed)
        held += low <= 0.8 <= high
    assert held >= 52  # of 60 at 95%: fewer has a probability of 2 in 1,000


def test_everything_that_is_said_of_held_out_rows():
    truth = Truth("classification", np.array([0, 1, 1, 0]), 2)
    told = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    found = more_scores(truth, told)
    assert found["accuracy"] == 0.75
    assert found["roc_auc"] == 1.0
    assert matrix_of(truth, told, ("no", "yes")).matrix == ((2, 0), (1, 1))
    assert [(row.label, row.support) for row in class_scores(truth, told, ("no", "yes"))] == [("no", 2), ("yes", 2)]
    assert more_scores(Truth("classification", np.array([1, 1]), 2), told[:2])["roc_auc"] is None
