import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from backend.contracts import ImageItem
from backend.search.suspects import LOOKED_AT, confident_mistakes, doubted, self_confidence, suspect_labels

NAMES = ("ant", "bee", "cat")


def items_of(targets, digests=None):
    return [
        ImageItem(
            image_id=f"img-{place}",
            path=f"{place}.png",
            file=f"photos/{place}.png",
            label=NAMES[target],
            digest=digests[place] if digests else f"digest-{place}",
            width=8,
            height=8,
        )
        for place, target in enumerate(targets)
    ]


def planted(seed, *, distance, images=240, share=0.05):
    """Three clouds of features with some labels wrong: out-of-fold probabilities, given labels, the wrong places."""
    random = np.random.default_rng(seed)
    truth = np.tile(np.arange(3), images // 3)
    features = random.normal(size=(images, 6)) + distance * np.eye(6)[truth]
    wrong = random.choice(images, int(share * images), replace=False)
    given = truth.copy()
    given[wrong] = (truth[wrong] + random.integers(1, 3, len(wrong))) % 3
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    out_of_fold = cross_val_predict(LogisticRegression(C=0.1), features, given, cv=folds, method="predict_proba")
    return out_of_fold, given, set(wrong.tolist()), truth


def places(suspects):
    return [int(one.image_id.removeprefix("img-")) for one in suspects]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_mistakes_are_found_and_little_else(seed):
    out_of_fold, given, wrong, truth = planted(seed, distance=4)
    suspects = suspect_labels(out_of_fold, given, items_of(given), NAMES)
    found = set(places(suspects))
    # recall; what the model gives less than it gives to that class on average is let pass
    assert len(found & wrong) >= 0.6 * len(wrong)
    assert len(found & wrong) >= 0.8 * len(found)  # precision
    right = [one.suggested == NAMES[truth[place]] for one, place in zip(suspects, places(suspects), strict=True)]
    assert np.mean(right) >= 0.8
    assert all(one.label == NAMES[given[place]] for one, place in zip(suspects, places(suspects), strict=True))
    assert [one.file for one in suspects] == [f"photos/{place}.png" for place in places(suspects)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("distance", [0.0, 0.2])
def test_a_model_hardly_better_than_chance_accuses_nobody(seed, distance):
    out_of_fold, given, _, _ = planted(seed, distance=distance)
    assert suspect_labels(out_of_fold, given, items_of(given), NAMES) == ()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_mediocre_model_accuses_few(seed):
    out_of_fold, given, _, _ = planted(seed, distance=1.5)
    assert len(suspect_labels(out_of_fold, given, items_of(given), NAMES)) <= 0.1 * len(given)


def test_clean_labels_that_a_good_model_agrees_with_are_left_alone():
    out_of_fold, given, _, _ = planted(0, distance=6, share=0.0)
    assert suspect_labels(out_of_fold, given, items_of(given), NAMES) == ()


def test_the_widest_margin_comes_first():
    out_of_fold, given, _, _ = planted(0, distance=4)
    suspects = suspect_labels(out_of_fold, given, items_of(given), NAMES)
    margins = [
        out_of_fold[place, NAMES.index(one.suggested)] - out_of_fold[place, given[place]]
        for one, place in zip(suspects, places(suspects), strict=True)
    ]
    assert margins == sorted(margins, reverse=True)


def test_the_confident_joint_is_that_worked_out_by_hand():
    # class 0 gives its own label 0.9, 0.8, 0.1 on average 0.6; class 1: 0.9, 0.7, 0.2 on average 0.6
    out_of_fold = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.1, 0.9], [0.3, 0.7], [0.8, 0.2]])
    targets = np.array([0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(self_confidence(out_of_fold, targets), [0.6, 0.6])
    # so few images cannot show that the model is right more often than not; forty times as many can
    assert confident_mistakes(out_of_fold, targets) == []
    many = confident_mistakes(np.tile(out_of_fold, (40, 1)), np.tile(targets, 40))
    assert {(place % 6, suggested) for place, suggested, _ in many} == {(2, 1), (5, 0)}
    assert [round(confidence, 2) for _, _, confidence in many] == [0.9] * 40 + [0.8] * 40


def test_equal_pictures_under_two_labels_come_first_whatever_the_model_thinks():
    out_of_fold, given, _, _ = planted(0, distance=4)
    digests = [f"digest-{place}" for place in range(len(given))]
    ants, bees = np.flatnonzero(given == 0)[:2], np.flatnonzero(given == 1)[:1]
    for place in (*ants, *bees):
        digests[place] = "the same picture"
    first = suspect_labels(out_of_fold, given, items_of(given, digests), NAMES)[0]
    assert (first.image_id, first.label, first.suggested) == (f"img-{bees[0]}", "bee", "ant")  # two ants to one bee


def test_between_two_equal_pictures_the_model_decides_and_accuses_one():
    out_of_fold = np.array([[0.1, 0.8, 0.1], [0.2, 0.7, 0.1]])
    suspects = suspect_labels(out_of_fold, np.array([0, 1]), items_of([0, 1], ["d", "d"]), NAMES)
    assert [(one.image_id, one.suggested, one.confidence) for one in suspects] == [("img-0", "bee", 0.75)]


def test_equal_pictures_with_equal_labels_are_no_suspects():
    out_of_fold = np.array([[0.6, 0.2, 0.2], [0.6, 0.2, 0.2]])
    assert suspect_labels(out_of_fold, np.array([0, 0]), items_of([0, 0], ["d", "d"]), NAMES) == ()


def test_a_class_without_images_is_never_suggested():
    out_of_fold = np.tile([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]], (50, 1))
    targets = np.tile([0, 1], 50)
    out_of_fold[0] = [0.1, 0.1, 0.8]
    assert suspect_labels(out_of_fold, targets, items_of(targets), NAMES) == ()


def test_shapes_that_do_not_agree_are_refused():
    with pytest.raises(ValueError, match="2 targets, 3 items"):
        suspect_labels(np.full((2, 3), 1 / 3), np.array([0, 1]), items_of([0, 1, 2]), NAMES)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_doubts_find_what_a_wide_margin_lets_pass(seed):
    out_of_fold, given, wrong, _ = planted(seed, distance=3)
    sure = set(places(suspect_labels(out_of_fold, given, items_of(given), NAMES)))
    suspects = suspect_labels(out_of_fold, given, items_of(given), NAMES, accuse=doubted)
    found = places(suspects)
    assert len(wrong & set(found)) >= max(0.9 * len(wrong), len(wrong & sure))
    assert len(set(found) - wrong) <= LOOKED_AT * len(given)
    margins = [
        out_of_fold[place, NAMES.index(one.suggested)] - out_of_fold[place, given[place]]
        for place, one in zip(found, suspects, strict=True)
    ]
    assert margins == sorted(margins, reverse=True)
    assert min(margins) >= 0.1


def test_one_image_in_twenty_is_doubted_beyond_those_with_a_wide_margin():
    out_of_fold = np.tile([[0.8, 0.2], [0.2, 0.8]], (50, 1))
    targets = np.tile([0, 1], 50)
    out_of_fold[0:40:2] = [0.4, 0.6]  # twenty narrow ones
    out_of_fold[40:46:2] = [0.1, 0.9]  # three wide ones
    found = doubted(out_of_fold, targets)
    assert [place for place, _, _ in found] == [40, 42, 44, 0, 2, 4, 6, 8]
    assert all(suggested == 1 for _, suggested, _ in found)


@pytest.mark.parametrize("distance", [0.0, 0.2])
def test_doubts_of_a_model_hardly_better_than_chance_are_none(distance):
    out_of_fold, given, _, _ = planted(0, distance=distance)
    assert doubted(out_of_fold, given) == []


def test_clean_labels_of_a_good_model_are_not_doubted():
    out_of_fold, given, _, _ = planted(0, distance=6, share=0.0)
    assert doubted(out_of_fold, given) == []


def test_doubts_never_suggest_a_class_without_images():
    out_of_fold = np.tile([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]], (50, 1))
    out_of_fold[0] = [0.1, 0.1, 0.8]
    assert doubted(out_of_fold, np.tile([0, 1], 50)) == []


def left_out(seed, *, images=200):
    """A good model's answers, uncertain labels on every tenth image."""
    targets = np.tile(np.arange(3), images)[:images]
    answers = np.full((images, 3), 0.02)
    answers[np.arange(images), targets] = 0.96
    doubtful = np.arange(0, images, 10)
    answers[doubtful] = 0.02
    answers[doubtful, targets[doubtful]] = 0.3
    answers[doubtful, (targets[doubtful] + 1) % 3] = 0.68
    return answers + np.random.default_rng(seed).random((images, 3)) * 1e-6, targets, set(doubtful.tolist())


def test_near_copies_under_two_labels_come_first_and_take_no_place_of_others():
    answers, targets, doubtful = left_out(0)
    clear = [place for place in range(200) if place not in doubtful][:60]
    same = [(clear[at], clear[at + 1]) for at in range(0, 60, 2)]  # neighbours have different labels
    alone = suspect_labels(answers, targets, items_of(targets), NAMES, accuse=doubted)
    found = suspect_labels(answers, targets, items_of(targets), NAMES, accuse=doubted, same=same)
    assert 0 < len(alone) == int(LOOKED_AT * 200)
    contradicted = {place for group in same for place in group if targets[group[0]] != targets[group[1]]}
    first = [place for place in places(found) if place in contradicted]
    assert places(found)[: len(first)] == first
    assert len(first) == len(contradicted) // 2  # one of each pair
    others = set(places(found)) - contradicted
    assert others <= doubtful
    assert len(others) == int(LOOKED_AT * (200 - len(first)))  # not fewer for the copies


def test_an_equal_file_counts_with_the_near_copies_of_its_like():
    answers, targets, _ = left_out(0, images=30)
    digests = [f"digest-{place}" for place in range(30)]
    digests[6] = digests[0]  # 0 and 6 are equal files labelled alike; 1 is a near copy of 0 under another label
    found = suspect_labels(answers, targets, items_of(targets, digests), NAMES, accuse=lambda *_: [], same=[(0, 1)])
    assert [(one.image_id, one.suggested) for one in found] == [("img-1", "ant")]
