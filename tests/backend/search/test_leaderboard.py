import numpy as np
import pytest

from backend.contracts import Candidate
from backend.search.leaderboard import preview, rank, ranking_metric, rows
from backend.search.trial import Trial

TARGETS = np.array([0, 0, 1, 1])


def trial(name, probability_of_truth, *, strategy="probe"):
    truth = np.asarray(probability_of_truth, dtype=float)
    probabilities = np.stack(
        [np.where(TARGETS == 0, truth, 1 - truth), np.where(TARGETS == 1, truth, 1 - truth)], axis=1
    )
    return Trial(
        candidate=Candidate(name=name, family="f", timm_name=name),
        strategy=strategy,
        held_out=probabilities,
        test_probabilities=probabilities,
    )


def names(trials):
    return [one.candidate.name for one in trials]


def test_more_right_answers_rank_higher():
    ranked = rank([trial("bad", [0.9, 0.1, 0.1, 0.9]), trial("good", [0.9, 0.9, 0.9, 0.9])], TARGETS, by="accuracy")
    assert names(ranked) == ["good", "bad"]


def test_a_tie_in_accuracy_goes_to_the_surer_of_the_right_answers():
    ranked = rank([trial("unsure", [0.6] * 4), trial("sure", [0.9] * 4)], TARGETS, by="accuracy")
    assert names(ranked) == ["sure", "unsure"]


def test_a_tie_with_the_baseline_goes_to_the_network():
    ranked = rank([trial("baseline", [0.9] * 4, strategy="baseline"), trial("net", [0.6] * 4)], TARGETS, by="accuracy")
    assert names(ranked) == ["net", "baseline"]


def test_failed_and_skipped_trials_stand_last_without_a_rank():
    failed = Trial(
        candidate=Candidate(name="broken", family="f", timm_name="b"), strategy="probe", status="failed", reason="why"
    )
    ranked = rank([failed, trial("net", [0.9] * 4)], TARGETS, by="accuracy")
    board = rows(ranked, held_out_targets=TARGETS, test_targets=TARGETS)
    assert [(row.name, row.rank, row.accuracy) for row in board] == [("net", 1, 1.0), ("broken", None, None)]
    assert board[1].reason == "why"


def test_a_preview_shows_validation_and_hides_test():
    row = preview(trial("net", [0.9, 0.9, 0.9, 0.1]), TARGETS)
    assert row.val_accuracy == pytest.approx(0.75)
    assert row.accuracy is None


def test_imbalanced_classes_are_ranked_by_macro_f1_and_not_by_accuracy():
    targets = np.array([0] * 8 + [1] * 2)
    lazy = np.array([[0.9, 0.1]] * 10)  # 80% right, and blind to the rare class
    fair = np.array([[0.9, 0.1]] * 5 + [[0.1, 0.9]] * 5)  # 70% right, and finds both
    trials = [
        Trial(candidate=Candidate(name=name, family="f", timm_name=name), strategy="probe", held_out=held_out)
        for name, held_out in (("lazy", lazy), ("fair", fair))
    ]
    assert names(rank(trials, targets, by="accuracy")) == ["lazy", "fair"]
    assert names(rank(trials, targets, by="macro_f1")) == ["fair", "lazy"]


def test_macro_f1_ranks_where_one_class_outnumbers_another_more_than_three_to_one():
    assert ranking_metric([30, 10]) == "accuracy"
    assert ranking_metric([31, 10]) == "macro_f1"
