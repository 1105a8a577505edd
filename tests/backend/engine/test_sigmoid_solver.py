import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from backend.engine.linear import fit_linear, grouped_folds, predict_linear
from backend.engine.probe import HeadPlan, fit_probe


def problem(*, images=150, width=30, seed=0):
    random = np.random.default_rng(seed)
    features = random.normal(size=(images, width))
    scores = features[:, :3] * [2.0, 1.5, 1.0] + [0.0, -1.0, -2.5]
    targets = (random.random(scores.shape) < 1 / (1 + np.exp(-scores))).astype(np.float32)
    targets[:3] = 1.0
    return features, targets


@pytest.mark.parametrize("strength", [0.01, 1.0])
@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("wide", [True, False])
def test_each_label_s_answers_are_scikit_learn_s(strength, balanced, wide):
    features, targets = problem(width=200 if wide else 30)
    head = fit_linear(features, targets, num_classes=3, strength=strength, balanced=balanced)
    found = predict_linear(head, features, "multilabel")
    rows = (features - features.mean(axis=0)) / features.std(axis=0)
    for label in range(3):
        model = LogisticRegression(C=strength, tol=1e-8, max_iter=5000, class_weight="balanced" if balanced else None)
        expected = model.fit(rows, targets[:, label]).predict_proba(rows)[:, 1]
        assert found[:, label] == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_label_of_no_image_or_of_all_gets_its_share_and_no_more(share):
    features, targets = problem()
    targets[:, 1] = share
    weight, bias = fit_linear(features, targets, num_classes=3, strength=1.0)
    assert not weight[1].any()
    assert predict_linear((weight, bias), features, "multilabel")[:, 1] == pytest.approx(share, abs=0.01)
    only, alone = fit_linear(features, targets[:, 1:2], num_classes=1, strength=1.0)
    assert (only.shape, alone.shape) == ((1, 30), (1,))


def test_a_probe_of_several_labels_answers_out_of_fold_and_alone():
    features, targets = problem(images=300)
    head = fit_probe(features, targets, num_classes=3, plan=HeadPlan(seed=1))
    assert head.task == "multilabel"
    assert head.out_of_fold.shape == (300, 3)
    assert np.abs(head.out_of_fold.sum(axis=1) - 1).max() > 0.2  # each label stands for itself
    ours = head.probabilities(features)
    assert roc_auc_score(targets, head.out_of_fold) > 0.7
    assert roc_auc_score(targets, ours) >= roc_auc_score(targets, head.out_of_fold)


def test_folds_give_every_label_its_share():
    _, targets = problem(images=400)
    for _, held_out in grouped_folds(targets, folds=5, seed=2):
        assert len(held_out) == pytest.approx(80, abs=3)
        assert np.abs(targets[held_out].mean(axis=0) - targets.mean(axis=0)).max() < 0.08


def test_boards_stay_in_one_fold_and_folds_stay_even():
    _, targets = problem(images=400)
    groups = np.arange(400) // 40
    folds = list(grouped_folds(targets, folds=5, seed=2, groups=groups))
    assert [len(held_out) for _, held_out in folds] == [80] * 5
    for learn, held_out in folds:
        assert not set(groups[learn]) & set(groups[held_out])


def test_two_boards_are_two_folds():
    _, targets = problem(images=60)
    groups = np.arange(60) % 2
    folds = list(grouped_folds(targets, folds=5, seed=2, groups=groups))
    assert [len(held_out) for _, held_out in folds] == [30, 30]
