from dataclasses import replace

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


def table(ranked):
    return rows(ranked, held_out_targets=TARGETS, test_targets=TARGETS, targets_of=lambda _: TARGETS)


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
    board = table(ranked)
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


def with_network(one):
    return replace(one, build=lambda: None)


def test_rows_that_the_images_cannot_tell_from_the_best_are_ties_and_the_baseline_never_is():
    wide = np.arange(40) % 2
    truth = np.full(40, 0.9)

    def answers(name, wrong, **how):
        probability = truth.copy()
        probability[:wrong] = 0.1
        held_out = np.stack([np.where(wide == 0, probability, 1 - probability)] * 2, axis=1)
        held_out[:, 1] = 1 - held_out[:, 0]
        candidate = Candidate(name=name, family="f", timm_name=name)
        return with_network(
            Trial(candidate=candidate, held_out=held_out, test_probabilities=held_out, **{"strategy": "probe", **how})
        )

    trials = [answers("best", 2), answers("near", 4), answers("far", 20), answers("baseline", 3, strategy="baseline")]
    ranked = rank(trials, wide, by="accuracy")
    board = rows(ranked, held_out_targets=wide, test_targets=wide, targets_of=lambda _: wide)
    assert {row.name: row.tie for row in board} == {"best": False, "near": True, "far": False, "baseline": False}


def test_a_trial_that_was_stopped_keeps_its_score_and_has_no_rank():
    stopped = with_network(trial("slow", [0.9] * 4)).stopped("would take too long")
    ranked = rank([stopped, with_network(trial("net", [0.6, 0.6, 0.6, 0.1]))], TARGETS, by="accuracy")
    board = table(ranked)
    assert names(ranked) == ["net", "slow"]
    assert (board[1].rank, board[1].accuracy, board[1].val_accuracy) == (None, None, 1.0)
