from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from backend.engine.metrics import (
    accuracy,
    evaluate,
    expected_calibration_error,
    log_loss,
    macro_f1,
    wilson_interval,
)

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def predictions():
    random = np.random.default_rng(1)
    probabilities = random.dirichlet(np.ones(4), size=60)
    return probabilities, random.integers(0, 4, size=60)


def test_scores_agree_with_scikit_learn(predictions):
    probabilities, targets = predictions
    result = evaluate(probabilities, targets, NAMES)
    predicted = probabilities.argmax(axis=1)
    assert result.test.accuracy == pytest.approx(sklearn_metrics.accuracy_score(targets, predicted))
    assert result.test.macro_f1 == pytest.approx(sklearn_metrics.f1_score(targets, predicted, average="macro"))
    assert result.test.log_loss == pytest.approx(sklearn_metrics.log_loss(targets, probabilities))
    assert result.confusion_matrix.matrix == tuple(map(tuple, sklearn_metrics.confusion_matrix(targets, predicted)))
    table = sklearn_metrics.precision_recall_fscore_support(targets, predicted)
    ours = [(row.precision, row.recall, row.f1, row.support) for row in result.per_class]
    np.testing.assert_allclose(np.array(ours).T, np.array(table))


def test_macro_f1_leaves_out_a_class_that_nobody_mentions_as_scikit_learn_does():
    probabilities, targets = np.eye(4)[[0, 1, 1, 0]], np.array([0, 1, 0, 0])
    expected = sklearn_metrics.f1_score(targets, probabilities.argmax(axis=1), average="macro")
    assert macro_f1(probabilities, targets) == pytest.approx(expected)


def test_absent_classes_get_a_row_of_zeros_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate(np.eye(4)[[0, 1]], np.array([0, 1]), NAMES)
    assert [row.support for row in result.per_class] == [1, 1, 0, 0]
    assert result.per_class[3].f1 == 0.0
    assert result.test.macro_f1 == 1.0


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (90, 100, 0.8256, 0.9448)],
)
def test_the_wilson_interval_gives_the_published_numbers(correct, total, low, high):
    assert wilson_interval(correct, total) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("correct", "total"), [(1, 0), (-1, 5), (6, 5)])
def test_the_wilson_interval_refuses_what_is_no_share(correct, total):
    with pytest.raises(ValueError, match="is no share"):
        wilson_interval(correct, total)


def test_a_forecaster_that_is_right_as_often_as_it_says_is_calibrated():
    probabilities = np.tile([0.75, 0.25], (100, 1))
    assert expected_calibration_error(probabilities, np.array([0] * 75 + [1] * 25)) == pytest.approx(0.0)
    assert expected_calibration_error(probabilities, np.ones(100, dtype=int)) == pytest.approx(0.75)


def test_a_sure_and_wrong_answer_costs_a_finite_loss():
    loss = evaluate(np.array([[1.0, 0.0]]), np.array([1]), ("a", "b")).test.log_loss
    assert loss == pytest.approx(27.63, abs=0.01)


@pytest.mark.parametrize(("probabilities", "targets"), [(np.eye(4), np.array([0])), (np.zeros((0, 4)), np.array([]))])
def test_shapes_that_do_not_agree_are_refused(probabilities, targets):
    with pytest.raises(ValueError, match="do not go with"):
        evaluate(probabilities, targets, NAMES)


def test_accuracy_counts_the_most_probable_class(predictions):
    probabilities, targets = predictions
    assert accuracy(probabilities, targets) == np.mean(probabilities.argmax(1) == targets)


def test_weights_say_how_much_each_image_counts_in_the_log_loss():
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75]])
    assert log_loss(probabilities, np.array([0, 1])) == pytest.approx((np.log(2) + np.log(4 / 3)) / 2)
    weighted = log_loss(probabilities, np.array([0, 1]), weights=np.array([3.0, 1.0]))
    assert weighted == pytest.approx((3 * np.log(2) + np.log(4 / 3)) / 4)
