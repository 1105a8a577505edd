import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from backend.engine import metrics
from backend.engine.label_metrics import average_precisions, hamming_loss, label_counts, macro_f1, micro_f1
from backend.engine.metrics import evaluate, image_losses, log_loss, right_answers

NAMES = ("crack", "hole", "spur")


def answers(seed, *, images=80, labels=3, ties=False):
    random = np.random.default_rng(seed)
    targets = (random.random((images, labels)) < 0.3).astype(np.float32)
    targets[:2] = [[1.0] * labels, [0.0] * labels]
    probabilities = np.clip(0.3 + 0.35 * targets + random.normal(0, 0.2, targets.shape), 0.001, 0.999)
    return (np.round(probabilities, 1) if ties else probabilities), targets


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), ties=st.booleans())
def test_every_score_is_scikit_learn_s(seed, ties):
    probabilities, targets = answers(seed, ties=ties)
    thresholds = (0.4, 0.5, 0.61)
    present = probabilities >= thresholds
    found = evaluate(probabilities, targets, NAMES, thresholds=thresholds)
    truth = targets.astype(int)
    expected = {
        "accuracy": reference.accuracy_score(truth, present),
        "subset_accuracy": reference.accuracy_score(truth, present),
        "macro_f1": reference.f1_score(truth, present, average="macro", zero_division=0),
        "micro_f1": reference.f1_score(truth, present, average="micro", zero_division=0),
        "hamming_loss": reference.hamming_loss(truth, present),
        "mean_average_precision": reference.average_precision_score(truth, probabilities, average="macro"),
    }
    assert {name: getattr(found.test, name) for name in expected} == pytest.approx(expected)
    precision, recall, f1, support = reference.precision_recall_fscore_support(truth, present, zero_division=0)
    assert [one.precision for one in found.per_class] == pytest.approx(precision)
    assert [one.recall for one in found.per_class] == pytest.approx(recall)
    assert [one.f1 for one in found.per_class] == pytest.approx(f1)
    assert [one.support for one in found.per_class] == list(support)
    assert [one.threshold for one in found.per_class] == list(thresholds)
    assert [one.average_precision for one in found.per_class] == pytest.approx(
        [reference.average_precision_score(truth[:, label], probabilities[:, label]) for label in range(3)]
    )
    tables = reference.multilabel_confusion_matrix(truth, present)
    assert [[list(row) for row in one.matrix] for one in found.label_confusion] == tables.tolist()
    assert found.confusion_matrix is None


def test_log_loss_is_the_mean_over_labels():
    probabilities, targets = answers(1)
    expected = np.mean([reference.log_loss(targets[:, label], probabilities[:, label]) for label in range(3)])
    assert log_loss(probabilities, targets) == pytest.approx(expected)
    assert image_losses(probabilities, targets).mean() == pytest.approx(expected)


def test_a_label_that_nobody_carries_has_no_average_precision_and_is_left_out_of_the_mean():
    probabilities, targets = answers(2)
    targets[:, 1] = 0
    assert np.isnan(average_precisions(probabilities, targets)).tolist() == [False, True, False]
    found = evaluate(probabilities, targets, NAMES, thresholds=(0.5, 1.0, 0.5))
    assert found.per_class[1].average_precision is None
    others = [one.average_precision for one in found.per_class if one.label != "hole"]
    assert found.test.mean_average_precision == pytest.approx(np.mean(others))
    assert found.test.macro_f1 == pytest.approx(np.mean([one.f1 for one in found.per_class if one.label != "hole"]))


def test_calibrated_probabilities_have_next_to_no_calibration_error_and_boasting_ones_have():
    random = np.random.default_rng(0)
    probabilities = random.random((4000, 3))
    targets = (random.random((4000, 3)) < probabilities).astype(np.float32)
    assert metrics.expected_calibration_error(probabilities, targets) < 0.02
    assert metrics.expected_calibration_error(np.round(probabilities), targets) > 0.2


def test_nothing_said_and_nothing_there_is_no_error():
    nothing = np.zeros((4, 2))
    present = nothing > 1
    assert macro_f1(nothing, nothing, present) == 0.0
    assert micro_f1(present, nothing) == 0.0
    assert hamming_loss(present, nothing) == 0.0
    assert label_counts(present, nothing).tolist() == [[4, 0, 0, 0]] * 2


def test_an_image_is_right_where_every_label_is():
    targets = np.tile([[1.0, 0.0], [0.0, 1.0]], (20, 1))
    probabilities = np.where(targets > 0, 0.9, 0.1)
    probabilities[0] = [0.9, 0.9]
    assert right_answers(probabilities, targets).tolist() == [False, *[True] * 39]
    assert metrics.accuracy(probabilities, targets) == pytest.approx(39 / 40)


@pytest.mark.parametrize(
    ("probabilities", "targets", "thresholds"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), (0.5,) * 3),
        (np.zeros((4, 2)), np.zeros((4, 3)), (0.5,) * 3),
        (np.zeros((4, 3)), np.zeros((4, 3)), None),
    ],
)
def test_what_does_not_go_together_is_refused(probabilities, targets, thresholds):
    with pytest.raises(ValueError, match=r"targets|threshold"):
        evaluate(probabilities, targets, NAMES, thresholds=thresholds)
