import pytest

from benchmarks.headline import lines

OURS = {
    "side": "ours", "seed": 42, "seconds": 30.0, "accuracy": 0.7, "first_row": 4.0, "first_run": 29.0, "second_run": 2.0,
}  # fmt: skip


def verdicts(*found):
    return {line.what: line.cells()[3:] for line in lines(found)}


def test_every_goal_has_its_line():
    tutorial = {"side": "tutorial", "seed": 42, "seconds": 240.0, "accuracy": 0.5}
    bare = {"side": "bare", "seed": 42, "seconds": 20.0}
    assert verdicts(OURS, tutorial, bare) == {
        "four networks, against a fine-tune": ("8.00x", "≥ 8x", "met"),
        "accuracy of the best": ("20.0 points", "≥ 0 points", "met"),
        "by the bare forward passes": ("1.50x", "≤ 1.5x", "met"),
        "first row of the leaderboard": ("4.00 s", "≤ 5 s", "met"),
        "the same again, by the first run": ("14.5x", "≥ 10x", "met"),
    }


def test_a_side_that_was_not_measured_is_left_out():
    assert len(verdicts(OURS)) == 2
    assert verdicts({"side": "bare", "seed": 42, "seconds": 20.0}) == {}


def test_seeds_are_averaged():
    [first, *_] = lines([OURS, {**OURS, "first_row": 8.0}])
    assert first.value == pytest.approx(6.0)
