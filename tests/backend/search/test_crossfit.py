import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.config import Settings
from backend.contracts import EpochRecord, FinetuneSettings, Preprocessing, RunControl
from backend.engine.batches import Pixels
from backend.engine.models import find_spec
from backend.engine.network import create_network
from backend.engine.partial import ViewsSize, compute_activations, find_cut
from backend.engine.trainer import FinetuneOutcome
from backend.errors import JobCancelled
from backend.search.crossfit import SHARES, Course, _Pool, _pooled, cross_fit
from backend.search.hyper import tune

SIDE = 64
FED = Preprocessing(height=SIDE, width=SIDE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    pictures = random.integers(0, 120, size=(36, SIDE, SIDE, 3), dtype=np.uint8)
    for place in range(36):
        pictures[place, :, :, place % 3] += 100
    return pictures


@pytest.fixture
def course(images):
    network = create_network(
        find_spec("timm:test_efficientnet"),
        num_classes=3,
        settings=Settings(offline=True, weights_dir=None),
        seed=1,
        input_size=SIDE,
    )
    network.weights = "imagenet"  # as if it had learned something
    cut = find_cut(network, trained=1)
    pixels = Pixels(images=images, preprocessing=FED, device=torch.device("cpu"))
    inputs = compute_activations(pixels, cut, size=ViewsSize(count=36, views=0), seed=0, control=RunControl())
    random = np.random.default_rng(1)
    features = random.normal(size=(36, network.head.in_features)).astype(np.float32)
    return Course(
        network=network,
        cut=cut,
        inputs=inputs,
        targets=np.arange(36) % 3,
        groups=np.arange(36),
        features=features,
        balanced=False,
        settings=FinetuneSettings(backbone_lr=3e-3),
        epochs=2,
        batch_size=8,
        seed=5,
        fold_seed=5,
    )


def test_every_image_is_answered_once(course):
    told = []
    fit = cross_fit(course, folds=3, judged=3, control=RunControl(), on_epoch=told.append)
    assert fit.places.tolist() == list(range(36))
    assert fit.held_out.shape == (36, 3)
    np.testing.assert_allclose(fit.held_out.sum(axis=1), 1.0)
    assert [record.epoch for record in fit.history] == [0, 1, 2]
    assert [record.epoch for record in told] == [1, 2, 3, 4, 5, 6]
    assert fit.stopped is None


def test_no_image_is_answered_by_a_network_that_learned_from_it(course, monkeypatch):
    """Whatever is held out may say anything: what the others get does not change."""
    first = next(course.folds(3, judged=3))[1]
    fit = cross_fit(course, folds=3, judged=1, control=RunControl())
    assert np.array_equal(fit.places, first)
    lying = course.targets.copy()
    lying[first] = (lying[first] + 1) % 3
    # stratified folds depend on the targets, so they are kept as they were
    parts = list(course.folds(3, judged=3))
    monkeypatch.setattr(Course, "folds", lambda self, count, *, judged: iter(parts[:judged]))
    again = cross_fit(replace(course, targets=lying), folds=3, judged=1, control=RunControl())
    np.testing.assert_array_equal(fit.held_out, again.held_out)


def test_how_much_of_the_training_is_kept_is_chosen_by_the_other_folds(course):
    """Two folds that hold opposite views: each is answered as the other prefers."""
    targets = np.array([0, 1, 0, 1])
    parts = [np.array([0, 1]), np.array([2, 3])]

    def answers(right):
        return np.array([[right, 1 - right], [1 - right, right]])

    def outcome(prefers):
        blends = {share: answers(0.9 if share == prefers else 0.6) for share in SHARES}
        record = EpochRecord(epoch=1, train_loss=1.0, val_loss=None, val_accuracy=None)
        return FinetuneOutcome(
            history=(record,),
            best_epoch=1,
            val_probabilities=blends[1.0],
            stopped_early=None,
            by_epoch=(blends[1.0],),
            by_blend=blends,
        )

    pool = _Pool(places=parts, outcomes=[outcome(0.5), outcome(1.0)])
    fit = _pooled(replace(course, targets=targets), pool)
    np.testing.assert_allclose(fit.held_out, np.concatenate([answers(0.6), answers(0.6)]))
    agreed = _pooled(replace(course, targets=targets), _Pool(places=parts, outcomes=[outcome(0.5), outcome(0.5)]))
    assert agreed.share == 0.5
    np.testing.assert_allclose(agreed.held_out, np.concatenate([answers(0.9), answers(0.9)]))


def test_equal_pictures_stay_on_one_side(course):
    groups = np.arange(36) // 6 * 100 + np.arange(36) % 3
    grouped = replace(course, groups=groups)
    for learn, held_out in grouped.folds(3, judged=3):
        assert not set(groups[learn]) & set(groups[held_out])


def test_other_folds_are_dealt_by_their_own_seed(course):
    own, other = (next(one.folds(3, judged=1))[1] for one in (course, replace(course, fold_seed=6)))
    assert own.tolist() != other.tolist()


def test_every_run_starts_from_the_same_network_and_changes_none(course):
    before = copy.deepcopy(course.network.module.state_dict())
    fits = [cross_fit(course, folds=3, judged=2, control=RunControl()) for _ in range(2)]
    np.testing.assert_array_equal(fits[0].held_out, fits[1].held_out)
    after = course.network.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_finished_network_answers_pixels(course, images):
    trained = course.start()
    course.train(trained, np.arange(36), np.zeros(0, dtype=np.int64), control=RunControl())
    whole = course.finish(trained)
    batch = Pixels(images=images, preprocessing=FED, device=torch.device("cpu")).plain(np.arange(4))
    with torch.inference_mode():
        scores = whole.module(batch)
        expected = trained.module(course.cut.frozen_part(batch))
        untrained = course.network.module(batch)
    torch.testing.assert_close(scores, expected)
    assert not torch.allclose(scores, untrained)


def test_without_a_cut_the_whole_network_trains(course, images):
    pixels = Pixels(images=images, preprocessing=FED, device=torch.device("cpu"))
    whole = replace(course, cut=None, inputs=pixels, epochs=1)
    trained = whole.start()
    whole.train(trained, np.arange(36), np.zeros(0, dtype=np.int64), control=RunControl())
    assert whole.finish(trained) is trained
    assert not torch.equal(trained.module.conv_stem.weight, course.network.module.conv_stem.weight)


def test_a_step_is_timed_without_touching_the_network(course):
    before = copy.deepcopy(course.network.module.state_dict())
    assert 0 < course.seconds_per_image(control=RunControl()) < 10
    assert all(torch.equal(before[name], tensor) for name, tensor in course.network.module.state_dict().items())


def test_cancelling_goes_through(course):
    with pytest.raises(JobCancelled):
        cross_fit(course, folds=3, judged=3, control=RunControl(cancelled=lambda: True))


def test_settings_are_searched_on_real_networks_too(course):
    found = [tune(course, trials=2, folds=2, seconds=1e9, control=RunControl()) for _ in range(2)]
    assert found[0].trials == 2
    assert found[0].course.settings == found[1].course.settings
    assert found[0].course.network is course.network


def test_distances_are_measured_only_where_they_are_asked_for(course):
    assert cross_fit(course, folds=3, judged=3, control=RunControl()).distances is None
    found = cross_fit(replace(course, measures_distance=True), folds=3, judged=3, control=RunControl())
    assert found.distances.shape == (36,)
    assert (found.distances > 0).all()


def test_the_journal_keeps_the_distances_of_a_fold():
    from backend.contracts.journal import Note
    from backend.engine.finetune_plan import outcome_of, written

    fields = {"history": (), "best_epoch": 1, "val_probabilities": np.ones((2, 2)), "stopped_early": None}
    for distances in (None, np.array([0.1, 0.2])):
        facts, arrays = written(FinetuneOutcome(**fields, distances=distances))
        again = outcome_of(Note(facts=facts, arrays=arrays)).distances
        assert again is None if distances is None else again.tolist() == [0.1, 0.2]
