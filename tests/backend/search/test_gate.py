import numpy as np
import pytest

from backend.search.gate import judge


def answers(targets, *, right, sure=0.8):
    """Probabilities [N, 2]: the first `right` images are answered rightly, so sure of it; the others wrongly."""
    out = np.full((len(targets), 2), 1 - sure)
    chosen = np.where(np.arange(len(targets)) < right, targets, 1 - targets)
    out[np.arange(len(targets)), chosen] = sure
    return out


TARGETS = np.arange(200) % 2


def test_a_clear_gain_is_kept_with_both_numbers_in_its_reason():
    verdict = judge(answers(TARGETS, right=190), answers(TARGETS, right=170), TARGETS, by="accuracy")
    assert verdict.kept
    assert "95.0%" in verdict.reason
    assert "85.0%" in verdict.reason
    assert "200 held-out images" in verdict.reason


@pytest.mark.parametrize("right", [150, 170])
def test_what_is_worse_or_the_same_is_discarded(right):
    verdict = judge(answers(TARGETS, right=right), answers(TARGETS, right=170), TARGETS, by="accuracy")
    assert not verdict.kept
    assert "the probe stands" in verdict.reason


def test_a_gain_that_is_dearly_bought_is_discarded():
    """Two more are right, but it is sure where it is wrong and unsure where it is right."""
    probe, refined = answers(TARGETS, right=170, sure=0.6), answers(TARGETS, right=172, sure=0.55)
    probe[:170] = answers(TARGETS, right=170, sure=0.95)[:170]
    refined[172:] = answers(TARGETS, right=172, sure=0.95)[172:]
    verdict = judge(refined, probe, TARGETS, by="accuracy")
    assert not verdict.kept
    assert "log-loss" in verdict.reason


def test_confidence_that_a_temperature_mends_counts_against_nobody():
    unsure = answers(TARGETS, right=172, sure=0.55)
    assert judge(unsure, answers(TARGETS, right=170, sure=0.86), TARGETS, by="accuracy").kept
    assert not judge(answers(TARGETS, right=172, sure=0.999), unsure, TARGETS, by="accuracy").kept


def test_a_small_gain_is_kept_where_the_answers_are_no_less_sure():
    assert judge(answers(TARGETS, right=172), answers(TARGETS, right=170), TARGETS, by="accuracy").kept


def test_answers_that_know_when_they_are_wrong_are_kept_where_as_many_are_right():
    blind, knowing = answers(TARGETS, right=160, sure=0.8), answers(TARGETS, right=160, sure=0.95)
    knowing[160:] = answers(TARGETS, right=160, sure=0.55)[160:]
    assert judge(knowing, blind, TARGETS, by="accuracy").kept
    assert not judge(blind, knowing, TARGETS, by="accuracy").kept


def test_uneven_classes_are_judged_by_macro_f1():
    targets = np.array([0] * 180 + [1] * 20)
    frequent = np.tile([0.9, 0.1], (200, 1))
    rare = frequent.copy()
    rare[180:195] = [0.2, 0.8]  # finds most of the rare class, at the price of a few of the frequent one
    rare[:10] = [0.4, 0.6]
    verdict = judge(rare, frequent, targets, by="macro_f1")
    assert verdict.kept
    assert "macro-F1" in verdict.reason


def test_a_higher_score_that_cost_confidence_says_both():
    targets = np.zeros(40, dtype=int)
    old = np.tile([0.9, 0.1], (40, 1))
    old[:4] = [0.4, 0.6]
    new = np.tile([0.55, 0.45], (40, 1))
    new[:3] = [0.45, 0.55]
    verdict = judge(new, old, targets, by="accuracy")
    assert not verdict.kept
    assert "cost confidence" in verdict.reason
    assert "log-loss" in verdict.reason
