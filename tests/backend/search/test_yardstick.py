"""What a winner will know as its own depends on how it came to its features."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from backend.contracts import Candidate, ImageItem, Preprocessing
from backend.engine.conformal import bound
from backend.engine.reference import FALSE_ALARMS
from backend.search.trial import TrainedModel, Trial
from backend.search.yardstick import caption, yardstick

IMAGES = 60
LEARNED = np.arange(40)
VALIDATION = np.arange(40, 50)


def item(place, **changes):
    fields = {"image_id": f"img-{place:03}", "path": f"{place}.png", "label": "ab"[place % 2], "digest": f"{place:064}"}
    return ImageItem(**{**fields, "width": 8, "height": 8, **changes})


@pytest.fixture
def study():
    return SimpleNamespace(
        train=LEARNED,
        val=VALIDATION,
        learnable=np.concatenate([LEARNED, VALIDATION]),
        groups=np.arange(IMAGES),
        dataset=SimpleNamespace(items=[item(place) for place in range(IMAGES)]),
        recipe=SimpleNamespace(seed=1),
    )


@pytest.fixture
def features(study):
    return np.random.default_rng(0).normal(3.0, 1.0, (len(study.learnable), 12)).astype(np.float32)


def trial(strategy, **fields):
    return Trial(candidate=Candidate(name="x", family="x", timm_name="x"), strategy=strategy, **fields)


def model(features, places=None):
    how = Preprocessing(height=8, width=8, mean=(0.5,) * 3, std=(0.5,) * 3)
    return TrainedModel(network=None, preprocessing=how, features=features, places=places)


def test_a_probe_knows_all_that_it_learned_from_and_each_image_judges(study, features):
    found = yardstick(study, trial("probe"), model(features, study.learnable))
    assert found.measured_on == len(found.features) == 50
    assert set(found.image_ids) == {f"img-{place:03}" for place in range(50)}


def test_a_trained_network_is_judged_by_the_validation_images_which_are_not_kept(study, features):
    found = yardstick(study, trial("finetune"), model(features, study.learnable))
    assert found.measured_on == len(VALIDATION)
    assert set(found.image_ids) == {f"img-{place:03}" for place in LEARNED}


def test_a_refinement_is_judged_by_what_its_cross_validation_held_out(study, features):
    held_out = np.linspace(0.1, 0.2, 50)
    found = yardstick(study, trial("finetune", fresh_distances=held_out), model(features, study.learnable))
    assert found.measured_on == len(found.features) == 50
    assert found.threshold == pytest.approx(bound(held_out, FALSE_ALARMS))


def test_an_ensemble_is_as_its_leading_member(study, features):
    together = trial("ensemble", members=((trial("probe"), 0.6), (trial("finetune"), 0.4)))
    assert yardstick(study, together, model(features, study.learnable)).measured_on == 50


def test_test_images_are_never_known(study):
    every = np.random.default_rng(0).normal(3.0, 1.0, (IMAGES, 12)).astype(np.float32)
    assert set(yardstick(study, trial("probe"), model(every)).image_ids) == {f"img-{place:03}" for place in range(50)}


def test_copies_are_no_neighbours(study, features):
    twice = np.concatenate([features[:25], features[:25]])
    study.groups = np.concatenate([np.arange(25), np.arange(25), np.arange(25, 35)])
    apart = yardstick(study, trial("probe"), model(twice, study.learnable)).threshold
    study.groups = np.arange(IMAGES)
    assert apart > 1.1 * yardstick(study, trial("probe"), model(twice, study.learnable)).threshold


def test_a_caption_names_all_labels_of_an_image():
    assert caption(item(0)) == "a"
    assert caption(item(0, labels=("a", "c"))) == "a, c"
    assert caption(item(0, label="")) == "none"
