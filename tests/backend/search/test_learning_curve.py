import time

import numpy as np
import pytest

from backend.contracts import LearningCurvePoint, RunControl
from backend.engine.linear import fit_linear, grouped_folds, predict_linear
from backend.engine.metrics import macro_f1, wilson_interval
from backend.engine.probe import HeadPlan, LinearHead, fit_probe
from backend.errors import JobCancelled
from backend.search import learning_curve as learning_curve_module
from backend.search.learning_curve import MOST_IMAGES, advice, learning_curve
from tests.waiting import slowness


def clouds(images, *, distance, dimensions=60, classes=3, seed=0):
    random = np.random.default_rng(seed)
    targets = random.permutation(np.arange(images) % classes)
    features = random.normal(size=(images, dimensions)) + distance * np.eye(dimensions)[targets]
    return features.astype(np.float32), targets


def curve(features, targets, **changes):
    """The curve of a probe with strength 0.1, whose out-of-fold answers come from plain cross-validation."""
    plan = HeadPlan(**changes)
    out = np.zeros((len(targets), 3))
    if len(targets) <= MOST_IMAGES:
        for learn, held_out in grouped_folds(targets, folds=plan.folds, seed=plan.seed, groups=plan.groups):
            fitted = fit_linear(features[learn], targets[learn], num_classes=3, strength=0.1)
            out[held_out] = predict_linear(fitted, features[held_out])
    return learning_curve(features, targets, num_classes=3, head=head_of(out), plan=plan)


def head_of(out_of_fold):
    nothing = np.zeros((3, 1)), np.zeros(3)
    return LinearHead(weight=nothing[0], bias=nothing[1], regularisation=0.1, cv_accuracy=0.0, out_of_fold=out_of_fold)


def point(images, accuracy, *, judged=500):
    return LearningCurvePoint(
        train_images=images,
        accuracy=accuracy,
        accuracy_ci95=wilson_interval(round(accuracy * judged), judged),
        macro_f1=accuracy,
    )


def test_a_head_that_lacks_pictures_gets_better_with_each_quarter():
    points = curve(*clouds(600, distance=2.0))
    assert [one.train_images for one in points] == [120, 240, 360, 480]
    scores = [one.accuracy for one in points]
    assert scores[0] + 0.05 < scores[-1]
    assert scores == sorted(scores)
    assert advice(points).startswith("More pictures")


def test_a_head_that_knows_enough_stays_where_it_is_and_the_advice_says_so():
    points = curve(*clouds(600, distance=6.0, dimensions=4))
    assert max(one.accuracy for one in points) - min(one.accuracy for one in points) < 0.01
    assert advice(points).startswith("No sign")


def test_labels_without_meaning_make_no_case_for_more_pictures():
    features, targets = clouds(600, distance=0.0)
    assert not advice(curve(features, targets)).startswith("More pictures would probably help")


def test_the_interval_is_that_of_all_held_out_images():
    features, targets = clouds(300, distance=2.0)
    for one in curve(features, targets):
        assert one.accuracy_ci95 == pytest.approx(wilson_interval(round(one.accuracy * 300), 300))


def test_the_last_point_is_what_the_probe_scored_in_cross_validation():
    features, targets = clouds(200, distance=2.0)
    plan = HeadPlan(folds=4, seed=7)
    head = fit_probe(features, targets, num_classes=3, plan=plan)
    last = learning_curve(features, targets, num_classes=3, head=head, plan=plan)[-1]
    assert last.accuracy == head.cv_accuracy
    assert last.macro_f1 == pytest.approx(macro_f1(head.out_of_fold, targets))


def test_the_probe_s_answers_are_those_that_the_full_share_would_give(monkeypatch):
    features, targets = clouds(200, distance=2.0)
    given = curve(features, targets)
    monkeypatch.setattr(
        learning_curve_module, "MOST_IMAGES", 199
    )  # sampled images have no answers yet: they are fitted
    monkeypatch.setattr(learning_curve_module, "_share", lambda targets, places, *, share, seed: whole(places, share))
    assert curve(features, targets)[-1] == given[-1]


def whole(places, share):
    return places if share > 0.9 else places[: int(share * len(places))]


def test_the_same_images_give_the_same_curve_and_another_seed_another():
    features, targets = clouds(200, distance=1.5)
    assert curve(features, targets) == curve(features, targets)
    assert curve(features, targets, seed=1) != curve(features, targets, seed=2)


def test_copies_of_one_picture_are_not_on_both_sides():
    features, targets = clouds(60, distance=0.0, dimensions=200)
    groups = np.repeat(np.arange(60), 4)
    twins = np.repeat(features, 4, axis=0), np.repeat(targets, 4)
    assert curve(*twins)[-1].accuracy > 0.95  # noise learned by heart
    assert curve(*twins, groups=groups)[-1].accuracy < 0.6


def test_rare_classes_are_in_every_share():
    features, targets = clouds(200, distance=6.0, dimensions=4)
    rare = np.concatenate([np.flatnonzero(targets != 2), np.flatnonzero(targets == 2)[:4]])
    points = curve(features[rare], targets[rare], folds=2)
    assert min(one.macro_f1 for one in points) > 0.8  # a class that a share had lost would leave 0.67 at most


def test_many_images_cost_no_more_than_some():
    features, targets = clouds(40_000, distance=2.0, dimensions=8)
    started = time.perf_counter()
    points = curve(features, targets)
    assert points[-1].train_images <= MOST_IMAGES
    assert time.perf_counter() - started < 20 * slowness()


def test_cancelling_ends_it_between_fits():
    features, targets = clouds(100, distance=2.0)
    control = RunControl(cancelled=lambda: True)
    with pytest.raises(JobCancelled):
        learning_curve(
            features, targets, num_classes=3, head=head_of(np.zeros((100, 3))), plan=HeadPlan(), control=control
        )


def test_other_numbers_of_targets_are_refused():
    features, targets = clouds(30, distance=2.0)
    with pytest.raises(ValueError, match="30 features, 29 targets, 30 answers"):
        learning_curve(features, targets[1:], num_classes=3, head=head_of(np.zeros((30, 3))), plan=HeadPlan())


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ((0.60, 0.70, 0.77, 0.82), r"would probably help: .*\+12\.0 points from 250 to 500.*last quarter by \+5\.0"),
        ((0.60, 0.70, 0.83, 0.82), "helped until lately"),
        ((0.80, 0.81, 0.82, 0.83), r"may help a little.*\+2\.0 points.*within the noise"),
        ((0.82, 0.83, 0.82, 0.82), "No sign that more pictures of the same kind would help"),
        ((0.99, 0.998, 0.999, 1.0), "No sign"),
    ],
)
def test_the_advice_is_one_honest_sentence(scores, words):
    import re

    points = [point(125 * (place + 1), score) for place, score in enumerate(scores)]
    sentence = advice(points)
    assert re.search(words, sentence), sentence
    assert sentence.count(". ") == 0
    assert sentence.endswith(".")


def test_without_a_curve_there_is_no_advice():
    assert advice(()) == ""
