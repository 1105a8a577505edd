"""What copies are worth: told where they leak, silent where there are none."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from backend.contracts import Candidate, Split
from backend.search.leak import measure_leak
from backend.search.trial import Trial


@pytest.fixture
def study():
    """Forty images of two classes that nothing tells apart; every one of them is there twice."""
    targets = np.array([place % 2 for place in range(40)])
    same = tuple((place, place + 20) for place in range(20))
    test = tuple(sorted([*range(4), *range(20, 24)]))
    rest = tuple(place for place in range(40) if place not in test)
    split = Split(train=rest[8:], val=rest[:8], test=test, seed=1, same=same)
    return SimpleNamespace(
        split=split,
        targets=targets,
        train=np.array(split.train),
        val=np.array(split.val),
        test=np.array(split.test),
        learnable=np.array([*split.train, *split.val]),
        num_classes=2,
        balanced=False,
        recipe=SimpleNamespace(seed=1),
    )


@pytest.fixture
def probe(study):
    """Its features name the picture and nothing else: only whoever saw a copy can be right."""
    features = np.eye(20, dtype=np.float32)[np.arange(40) % 20] * 10
    right = np.eye(2)[study.targets[study.test]]
    return Trial(
        candidate=Candidate(name="net", family="f", timm_name="net", description="d"),
        strategy="probe",
        head=SimpleNamespace(regularisation=1.0, task="multiclass"),
        features_of=lambda places: features[places],
        test_probabilities=right,
    )


def test_a_division_by_chance_is_scored_with_and_without_what_leaks(study, probe):
    leak = measure_leak(study, [probe], probe)
    assert (leak.images, leak.groups, leak.own) == (40, 20, None)
    chance = leak.by_chance
    assert chance.test_images == 8
    assert 0 < chance.leaked <= 8
    assert chance.accuracy == pytest.approx(
        (chance.leaked + (8 - chance.leaked) * (chance.accuracy_without or 0)) / 8, abs=0.001
    )  # every leaked picture was known by heart


def test_folders_that_leak_are_scored_with_and_without(study, probe):
    split = study.split.model_copy(update={"leaked": (0, 1)})
    wrong_on_one = np.eye(2)[study.targets[study.test]]
    wrong_on_one[-1] = wrong_on_one[-1][::-1]
    study.split = split
    leak = measure_leak(study, [probe], replace(probe, test_probabilities=wrong_on_one))
    assert (leak.own.leaked, leak.own.test_images) == (2, 8)
    assert (leak.own.accuracy, leak.own.accuracy_without) == (pytest.approx(7 / 8), pytest.approx(5 / 6, abs=1e-5))


def test_nothing_is_said_where_no_image_has_a_copy(study, probe):
    study.split = study.split.model_copy(update={"same": ()})
    assert measure_leak(study, [probe], probe) is None


def test_without_a_head_the_leaked_images_are_counted(study):
    bare = Trial(candidate=Candidate(name="n", family="f", timm_name="n", description="d"), strategy="finetune")
    chance = measure_leak(study, [bare], bare).by_chance
    assert chance.leaked > 0
    assert chance.accuracy is None
