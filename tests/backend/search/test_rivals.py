from __future__ import annotations

import re

import pytest
from scipy.stats import binomtest

from backend.search.rivals import Answered, by_class, classes_in_words, head_to_head, headline, holm


def answered(label, *, both=0, champion=0, challenger=0, neither=0):
    """Images of one class by who was right."""
    wrong = f"not {label}"
    return [
        *[Answered(label, label, label)] * both,
        *[Answered(label, label, wrong)] * champion,
        *[Answered(label, wrong, label)] * challenger,
        *[Answered(label, wrong, wrong)] * neither,
    ]


def classes_of(*groups):
    images = [image for group in groups for image in group]
    names = {image.label for image in images}
    return by_class(images, champion_knows=names, challenger_knows=names)


def test_the_test_is_mcnemar_s():
    outcome = head_to_head(answered("bag", both=40, champion=3, challenger=14, neither=3))
    assert (outcome.images, outcome.champion_right, outcome.challenger_right) == (60, 43, 54)
    assert (outcome.only_champion, outcome.only_challenger, outcome.gain) == (3, 14, 11)
    assert outcome.p_value == pytest.approx(binomtest(3, 17, 0.5).pvalue)
    assert outcome.verdict == "better"


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ({"both": 10}, "same"),
        ({"both": 10, "champion": 2, "challenger": 2}, "unsure"),
        ({"both": 10, "challenger": 4}, "unsure"),
        ({"both": 10, "challenger": 6}, "better"),
        ({"both": 10, "champion": 6}, "worse"),
    ],
)
def test_a_verdict_is_given_where_the_images_are_enough(counts, verdict):
    assert head_to_head(answered("bag", **counts)).verdict == verdict


def test_p_values_of_many_classes_are_corrected_for_their_number():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
    lucky = answered("bag", challenger=6)
    assert classes_of(lucky)[0].verdict == "better"
    others = [answered(f"class {number}", both=5) for number in range(5)]
    found = {one.label: one for one in classes_of(lucky, *others)}
    assert found["bag"].verdict == "unsure", "one of six classes may look so by chance"
    assert found["bag"].p_value == pytest.approx(6 * 2 * 0.5**6)


def test_the_classes_are_said_in_plain_words():
    words = classes_in_words(
        classes_of(answered("bag", both=5, challenger=4), answered("coat", both=5, champion=1), answered("hat", both=3))
    )
    assert words == ("Better on bag +4; too few images to be sure.\nWorse on coat -1; too few images to be sure.")


def test_what_is_sure_is_said_first():
    words = classes_in_words(
        classes_of(answered("bag", challenger=20), answered("coat", champion=15), answered("hat", both=9, challenger=1))
    )
    assert words == (
        "Surely better on bag +20.\nSurely worse on coat -15.\nBetter on hat +1; too few images to be sure."
    )


def test_many_classes_are_counted_and_none_is_said_to_be_none():
    many = [answered(f"c{number}", both=5, challenger=1) for number in range(8)]
    assert classes_in_words(classes_of(*many)).endswith("c4 +1, ... (8); too few images to be sure.")
    assert classes_in_words(classes_of(answered("bag", both=4))) == "No class tells them apart."


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"both": 40, "challenger": 9}, "The challenger is better: right on 49 of 49 images that neither saw"),
        ({"both": 40, "champion": 9}, r"The challenger is worse: .*Keep the champion\."),
        ({"both": 50, "challenger": 4, "neither": 6}, r"right on 4 more of 60 .*\(54 against 50\); with so few"),
        ({"both": 50, "champion": 2}, "right on 2 fewer of 52"),
        ({"both": 9, "champion": 1, "challenger": 1}, "Both are right on 10 of 11"),
    ],
)
def test_the_headline_is_one_sentence(counts, said):
    assert re.search(said, headline(head_to_head(answered("bag", **counts)), left_out=0))


def test_without_a_fair_image_there_is_no_verdict():
    assert "learned from all 12 test images" in headline(head_to_head([]), left_out=12)


def test_a_class_that_one_does_not_know_is_marked():
    images = [*answered("bag", both=3), Answered("owl", "bag", "owl")]
    classes = by_class(images, champion_knows={"bag"}, challenger_knows={"bag", "owl"})
    assert [(one.label, one.known_to_champion, one.known_to_challenger) for one in classes] == [
        ("bag", True, True),
        ("owl", False, True),
    ]


def several(truth, champion, challenger):
    """One image of several labels, each side as a word of one-letter labels."""
    in_line = [", ".join(sorted(one)) for one in (truth, champion, challenger)]
    each = (frozenset(truth), frozenset(champion), frozenset(challenger))
    return Answered(in_line[0], champion=in_line[1], challenger=in_line[2], each=each)


def test_of_several_labels_an_image_is_right_where_all_are():
    outcome = head_to_head([several("ab", "a", "ab"), several("", "a", ""), several("b", "b", "b")])
    assert (outcome.champion_right, outcome.challenger_right, outcome.only_challenger) == (1, 3, 2)


def test_each_label_is_compared_on_all_images():
    images = [several("a", "", "a")] * 9 + [several("", "b", "b")] * 2 + [several("ab", "ab", "a")] * 3
    found = {one.label: one for one in by_class(images, champion_knows={"a", "b"}, challenger_knows={"a", "b"})}
    assert {label: (one.images, one.champion_right, one.challenger_right) for label, one in found.items()} == {
        "a": (14, 5, 14),
        "b": (14, 12, 9),
    }
    assert found["a"].verdict == "better"
    assert found["b"].verdict == "unsure"
