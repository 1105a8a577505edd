import numpy as np
import pytest

from backend.search.ties import is_tie, mcnemar_p_value

TRUTH = np.zeros(40, dtype=int)


def answers(right):
    """Two classes, the first is always the truth; the first `right` of the given places are right."""
    right = np.asarray(right, dtype=bool)
    return np.where(right[:, None], [[0.8, 0.2]], [[0.3, 0.7]])


def pair(only_a, only_b, *, both=20):
    count = only_a + only_b + both
    places = np.arange(count)
    return answers(places >= only_b), answers((places < only_b) | (places >= only_a + only_b)), np.zeros(count, int)


def test_the_p_value_is_that_computed_by_hand():
    a, b, truth = pair(9, 2)
    # two-sided binomial: 2 * (C(11,0) + C(11,1) + C(11,2)) / 2**11
    assert mcnemar_p_value(a, b, truth) == pytest.approx(2 * (1 + 11 + 55) / 2**11)


@pytest.mark.parametrize(
    ("only_a", "only_b", "tie"),
    [(0, 0, True), (5, 0, True), (6, 0, False), (0, 6, False), (9, 2, True), (10, 2, False), (12, 12, True)],
)
def test_a_tie_ends_where_the_exact_test_reaches_95_percent(only_a, only_b, tie):
    # 5 to 0 has p = 2 / 2**5 = 0.0625, 6 to 0 has 0.031; 9 to 2 has 0.065, 10 to 2 has 0.039
    assert is_tie(*pair(only_a, only_b)) is tie


def test_images_that_both_answer_alike_say_nothing():
    assert mcnemar_p_value(*pair(9, 2, both=0)) == mcnemar_p_value(*pair(9, 2, both=500))


def test_equally_good_rows_are_called_different_at_most_one_time_in_twenty():
    random = np.random.default_rng(0)
    truth = np.zeros(200, dtype=int)
    told_apart = sum(
        not is_tie(answers(random.random(200) < 0.85), answers(random.random(200) < 0.85), truth) for _ in range(400)
    )
    assert told_apart / 400 <= 0.05


def test_a_clearly_worse_row_is_no_tie():
    random = np.random.default_rng(1)
    truth = np.zeros(300, dtype=int)
    assert not is_tie(answers(random.random(300) < 0.95), answers(random.random(300) < 0.8), truth)


def test_rows_of_other_images_cannot_be_compared():
    with pytest.raises(ValueError, match="40 and 39"):
        is_tie(answers(TRUTH == 0), answers(TRUTH[1:] == 0), TRUTH)
