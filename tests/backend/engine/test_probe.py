from __future__ import annotations

import numpy as np
import pytest

from backend.contracts import RunControl
from backend.engine import probe
from backend.engine.features import extract_features, predict_probabilities
from backend.engine.probe import HeadPlan, fit_probe, install_head
from backend.errors import DatasetError, JobCancelled


def blobs(counts, *, features=20, spread=1.0, seed=0):
    """Features scattered around one centre a class."""
    random = np.random.default_rng(seed)
    targets = np.repeat(np.arange(len(counts)), counts)
    centres = random.normal(size=(len(counts), features)) * 2
    return (centres[targets] + random.normal(size=(len(targets), features)) * spread).astype(np.float32), targets


def test_separable_classes_are_told_apart_out_of_fold():
    features, targets = blobs([20, 20, 20])
    head = fit_probe(features, targets, num_classes=3)
    assert head.cv_accuracy == pytest.approx(np.mean(head.out_of_fold.argmax(1) == targets))
    assert head.cv_accuracy > 0.95
    assert head.regularisation in probe.STRENGTHS


def test_labels_without_meaning_are_not_learned_out_of_fold():
    random = np.random.default_rng(0)
    features, targets = random.normal(size=(200, 50)), np.tile(np.arange(2), 100)
    head = fit_probe(features, targets, num_classes=2)
    assert 0.35 < head.cv_accuracy < 0.65  # the fitted head itself would be right on nearly all


@pytest.mark.parametrize("counts", [[15, 15], [15, 15, 15]])
def test_probabilities_are_those_of_scikit_learn_on_standardised_features(counts):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features, targets = blobs(counts, spread=4.0)
    head = fit_probe(features, targets, num_classes=len(counts))
    scaled = StandardScaler().fit_transform(features.astype(np.float64))
    expected = LogisticRegression(C=head.regularisation, max_iter=1000).fit(scaled, targets).predict_proba(scaled)
    np.testing.assert_allclose(head.probabilities(features), expected, atol=1e-3)


def test_the_same_seed_gives_the_same_head():
    features, targets = blobs([12, 12, 12], spread=4.0)
    first, second = (fit_probe(features, targets, num_classes=3, plan=HeadPlan(seed=7)) for _ in range(2))
    np.testing.assert_array_equal(first.weight, second.weight)
    np.testing.assert_array_equal(first.out_of_fold, second.out_of_fold)


def test_a_rare_class_keeps_its_say():
    features, targets = blobs([120, 6], features=3, spread=2.5, seed=5)
    head = fit_probe(features, targets, num_classes=2)
    recall = np.mean(head.probabilities(features)[targets == 1].argmax(1) == 1)
    assert recall > 0.8


def test_a_class_of_two_images_is_held_out_image_by_image():
    features, targets = blobs([10, 10, 2])
    head = fit_probe(features, targets, num_classes=3, plan=HeadPlan(folds=5))
    assert np.all(head.out_of_fold.sum(axis=1) == pytest.approx(1.0))
    assert np.mean(head.out_of_fold[targets == 2].argmax(1) == 2) == 1.0


def test_a_class_of_one_image_is_refused_by_number_and_count():
    features, targets = blobs([10, 1])
    with pytest.raises(DatasetError, match="Class number 1 has 1 images"):
        fit_probe(features, targets, num_classes=2)


def test_a_feature_that_never_moves_gets_no_weight_to_speak_of():
    features, targets = blobs([15, 15])
    features = np.concatenate([features, np.full((30, 1), 0.3, np.float32)], axis=1)
    features[3, -1] += 1e-6
    head = fit_probe(features, targets, num_classes=2)
    assert np.abs(head.weight[:, -1]).max() < 10 * np.abs(head.weight[:, :-1]).max()


def test_many_images_choose_the_strength_on_a_part(monkeypatch):
    monkeypatch.setattr(probe, "CHOOSING_IMAGES", 30)
    features, targets = blobs([40, 40, 40])
    sizes = []
    path = probe.LinearPath
    monkeypatch.setattr(
        probe, "LinearPath", lambda rows, *args, **how: sizes.append(len(rows)) or path(rows, *args, **how)
    )
    head = fit_probe(features, targets, num_classes=3, plan=HeadPlan(folds=3))
    choosing, rest = sizes[:3], sizes[3:]
    assert max(choosing) < 30
    assert rest == [80, 80, 80]
    assert head.out_of_fold.shape == (120, 3)


def test_cancelling_stops_between_fits():
    features, targets = blobs([10, 10])
    with pytest.raises(JobCancelled):
        fit_probe(features, targets, num_classes=2, control=RunControl(cancelled=lambda: True))


def test_an_installed_head_makes_the_network_answer_as_the_head_does(lite0, pictures, preprocessing):
    images, targets = pictures
    features = extract_features(lite0, images, preprocessing=preprocessing)
    head = fit_probe(features, targets, num_classes=3)
    install_head(lite0, head)
    served = predict_probabilities(lite0, images, preprocessing=preprocessing)
    assert np.mean(served.argmax(1) == targets) > 0.9
    np.testing.assert_allclose(served, head.probabilities(features), atol=0.05)  # features may be bfloat16


def test_a_head_for_other_classes_is_not_installed(lite0):
    features, targets = blobs([5, 5], features=1280)
    with pytest.raises(ValueError, match="does not fit a classifier"):
        install_head(lite0, fit_probe(features, targets, num_classes=2))
