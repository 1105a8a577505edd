import json

import pytest

from benchmarks.quality import SIDES, lines, ours_answer, rows


def run(side, seed, accuracy, seconds=10.0, data="cifar3.zip"):
    return {"data": data, "side": side, "seed": seed, "accuracy": accuracy, "seconds": seconds}


def by_name(found):
    return {line.what: line for line in lines(found)}


def test_the_more_accurate_of_fastai_s_runs_counts():
    found = [run("fast", 1, 0.9, 9), run("fastai 1+2", 1, 0.6, 60), run("fastai 1+4", 1, 0.8, 120)]
    made = by_name(found)
    assert made["cifar3.zip: fast against fastai 1+4, accuracy"].value == pytest.approx(10)
    assert made["cifar3.zip: fast against fastai 1+4, whole process"].value == pytest.approx(120 / 9)
    assert not any("1+2" in what for what in made)


def test_only_seeds_that_both_sides_have_are_compared():
    found = [run("fast", 1, 0.9), run("fast", 2, 0.1), run("autogluon", 1, 0.7)]
    assert by_name(found)["cifar3.zip: fast against autogluon, accuracy"].value == pytest.approx(20)


def test_the_gain_of_balanced_is_averaged_over_the_sets():
    found = [run("fast", 1, 0.8), run("balanced", 1, 0.86)]
    found += [run("fast", 1, 0.7, data="fashion_mnist.zip"), run("balanced", 1, 0.7, data="fashion_mnist.zip")]
    line = by_name(found)["balanced over fast, mean"]
    assert line.value == pytest.approx(3)
    assert line.cells()[-1] == "met"


def test_what_was_not_measured_is_left_out():
    assert lines([run("fast", 1, 0.9)]) == []
    assert [row[:2] for row in rows([run("fast", 1, 0.9)])] == [("cifar3.zip", "fast")]


def test_a_row_shows_mean_and_range_over_the_seeds():
    [row] = rows([run("fast", 1, 0.8, 4), run("fast", 2, 0.9, 6)])
    assert row[2:] == ("2", "5.00 s", "85.0%", "80.0% to 90.0%", "")


def test_a_row_of_ours_says_what_won():
    found = [{**run("balanced", seed, 0.8), "kept": won} for seed, won in enumerate(("probe", "finetune", "probe"))]
    assert rows(found)[0][-1] == "2 probe, 1 finetune"


def test_ours_says_what_won():
    printed = json.dumps({"best_model": {"accuracy": 0.91, "strategy": "probe"}})
    assert ours_answer(printed) == {"accuracy": 0.91, "kept": "probe"}


def test_presets_and_both_competitors_are_measured():
    assert {side.split()[0] for side in SIDES} == {"fast", "balanced", "fastai", "autogluon"}
