from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.contracts import Candidate, Deadline, FinetuneSettings, Recipe, RunControl
from backend.data import open_dataset
from backend.engine.batches import Pixels
from backend.engine.features import predict_probabilities
from backend.engine.models import find_spec
from backend.engine.network import create_network
from backend.engine.partial import Activations, FrozenBelow
from backend.errors import JobCancelled
from backend.search import refine as refine_module
from backend.search.budget import DoesNotFit
from backend.search.crossfit import Course
from backend.search.gate import Verdict
from backend.search.hyper import Tuning
from backend.search.presets import DEPTHS
from backend.search.refine import run_refinement
from backend.search.study import open_study
from backend.search.trial import Trial
from backend.search.watch import TrialWatch

TINY = "timm:test_efficientnet"
DEPTH = replace(DEPTHS["balanced"], epochs=2)
CANDIDATE = Candidate(name=TINY, family="timm", timm_name="test_efficientnet", description="")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _as_if_pretrained(monkeypatch):
    """timm's test network, a second quicker than any real one, passes for one whose early stages have learned."""

    def create(*args, **kwargs):
        network = create_network(*args, **kwargs)
        network.weights = "imagenet"
        return network

    monkeypatch.setattr(refine_module, "create_network", create)
    monkeypatch.setattr(refine_module, "LEAST_STEPS", 0)


@pytest.fixture
def open_small(make_zip, settings):
    def open_with(**options):
        dataset = open_dataset(make_zip({"circle": 12, "square": 12}), into=settings.datasets_dir, settings=settings)
        options = {"overrides": {"refine.views": 1}, "seed": 1, "preset": "balanced", "models": (TINY,), **options}
        recipe = Recipe(dataset_id=dataset.info.dataset_id, **options)
        return open_study(dataset, recipe, settings=settings, control=RunControl())

    return open_with


@pytest.fixture
def small(open_small):
    return open_small()


def probe_of(study, *, certainty=0.5):
    """A probe whose held-out answers are right with this certainty: at 0.5 it knows nothing."""
    targets = study.targets[study.learnable]
    held_out = np.full((len(targets), 2), 1 - certainty)
    held_out[np.arange(len(targets)), targets] = certainty
    random = np.random.default_rng(0)
    features = random.normal(size=(len(study.targets), 256)).astype(np.float32)
    features[:, 0] += 6.0 * study.targets
    return Trial(
        candidate=CANDIDATE,
        strategy="probe",
        held_out=held_out,
        places=study.learnable,
        features_of=lambda places: features[places],
    )


def watch(reports=None, deadline=None, **options):
    control = RunControl(report=None if reports is None else reports.append, deadline=deadline, **options)
    return TrialWatch(CANDIDATE, control=control, share=(0.0, 1.0))


def verdict_is(monkeypatch, *, kept):
    seen = []

    def decide(refined, probe, targets, *, by):
        seen.append((refined, probe, targets, by))
        return Verdict(kept=kept, reason="helped" if kept else "did not help: 50.0% against 90.0%")

    monkeypatch.setattr(refine_module, "judge", decide)
    return seen


def test_a_better_model_is_kept_with_answers_for_every_learnable_image(small, monkeypatch):
    seen = verdict_is(monkeypatch, kept=True)
    reports, probe = [], probe_of(small)
    trial = run_refinement(small, CANDIDATE, probe=probe, depth=DEPTH, watch=watch(reports))
    assert (trial.status, trial.strategy, trial.reason) == ("ok", "finetune", "helped")
    assert trial.tried == "last stage, 2 epochs, 3-fold cross-validation"
    assert trial.train_images == len(small.learnable)
    assert trial.held_out.shape == probe.held_out.shape
    refined, probed, targets, by = seen[0]
    np.testing.assert_array_equal(refined, trial.held_out)
    np.testing.assert_array_equal(probed, probe.held_out)
    np.testing.assert_array_equal(targets, small.targets[small.learnable])
    assert by == "accuracy"
    assert [record.epoch for record in trial.history] == [0, 1, 2]
    told = [report.candidate for report in reports if report.candidate.epoch]
    assert {one.epochs for one in told} == {2 * 4}
    assert max(one.epoch for one in told) == 8
    answers = predict_probabilities(
        trial.model.network,
        small.images(trial.model.preprocessing),
        preprocessing=trial.model.preprocessing,
        places=small.test,
    )
    np.testing.assert_array_equal(trial.test_probabilities, answers)


def test_frozen_stages_do_not_move_and_the_last_one_does(small, monkeypatch):
    verdict_is(monkeypatch, kept=True)
    trial = run_refinement(small, CANDIDATE, probe=probe_of(small), depth=DEPTH, watch=watch())
    fresh = create_network(find_spec(TINY), num_classes=2, settings=small.settings, seed=1).module.state_dict()
    own = trial.model.network.module.state_dict()
    moved = {name for name in fresh if not torch.equal(fresh[name], own[name])}
    assert moved
    assert all(
        not name.startswith(("conv_stem", "bn1", "blocks.0", "blocks.1", "blocks.2", "blocks.3")) for name in moved
    )
    assert not any("running" in name for name in moved)


def test_a_worse_model_is_discarded_with_both_numbers(small, monkeypatch):
    verdict_is(monkeypatch, kept=False)
    trial = run_refinement(small, CANDIDATE, probe=probe_of(small), depth=DEPTH, watch=watch())
    assert trial.status == "skipped"
    assert "50.0% against 90.0%" in trial.reason
    assert trial.model is None
    assert trial.held_out is None
    assert trial.tried
    assert trial.train_seconds > 0


def test_the_real_gate_keeps_the_probe_that_knows_everything(small):
    trial = run_refinement(small, CANDIDATE, probe=probe_of(small, certainty=0.999), depth=DEPTH, watch=watch())
    assert trial.status == "skipped"
    assert "100.0%" in trial.reason


def test_the_same_seed_gives_the_same_answers(small, monkeypatch):
    verdict_is(monkeypatch, kept=True)
    first, second = (
        run_refinement(small, CANDIDATE, probe=probe_of(small), depth=DEPTH, watch=watch()) for _ in range(2)
    )
    np.testing.assert_array_equal(first.held_out, second.held_out)
    np.testing.assert_array_equal(first.test_probabilities, second.test_probabilities)


def slow(monkeypatch, seconds):
    monkeypatch.setattr(Course, "seconds_per_image", lambda self, *, control: seconds)
    monkeypatch.setattr(refine_module._Refinement, "_prediction_seconds", lambda self: 0.0)


@pytest.mark.parametrize(
    ("per_image", "expected"),
    [
        (0.1, "last stage, 4 epochs, 3-fold cross-validation"),
        (0.5, "last stage, 4 epochs, one part in 5 held out"),
        (0.9, "last stage, 2 epochs, one part in 5 held out"),
    ],
)
def test_what_does_not_fit_the_time_is_made_smaller(open_small, monkeypatch, per_image, expected):
    slow(monkeypatch, per_image)
    study = open_small(time_budget_s=100)
    verdict_is(monkeypatch, kept=False)
    deadline = Deadline(100)
    depth = replace(DEPTH, epochs=4)
    trial = run_refinement(study, CANDIDATE, probe=probe_of(study), depth=depth, watch=watch(deadline=deadline))
    assert trial.tried == expected


def test_what_never_fits_says_how_long_it_would_take(open_small, monkeypatch):
    slow(monkeypatch, 50.0)
    study = open_small(time_budget_s=100)
    with pytest.raises(DoesNotFit, match=r"would take about \d+ (s|min).* are left"):
        run_refinement(study, CANDIDATE, probe=probe_of(study), depth=DEPTH, watch=watch(deadline=Deadline(100)))


def test_early_stages_that_take_too_long_are_refused_or_see_fewer_views(open_small, monkeypatch):
    slow(monkeypatch, 0.0)
    study = open_small(time_budget_s=1000, overrides={"refine.views": 50})
    probe, told = probe_of(study), []
    clock = iter(range(0, 10**6, 100))  # every look at the clock finds 100 s gone
    monkeypatch.setattr(refine_module.time, "perf_counter", lambda: float(next(clock)))
    for seconds in (200, 10_000):
        deadline = Deadline(seconds)
        monkeypatch.setattr(
            refine_module, "compute_activations", lambda *args, size, **more: told.append(size) or 1 / 0
        )
        with pytest.raises((DoesNotFit, ZeroDivisionError)) as caught:
            run_refinement(study, CANDIDATE, probe=probe, depth=DEPTH, watch=watch(deadline=deadline))
        told.append(str(caught.value))
    assert "early stages alone would take about" in told[0]
    assert 0 < told[1].views < 50


def test_of_many_images_one_part_judges_and_the_probe_answers_for_the_rest(small, monkeypatch):
    monkeypatch.setattr(refine_module, "MANY_IMAGES", 10)
    seen = verdict_is(monkeypatch, kept=True)
    probe = probe_of(small)
    trial = run_refinement(small, CANDIDATE, probe=probe, depth=DEPTH, watch=watch())
    assert "one part in 5 held out" in trial.tried
    judged = len(seen[0][0])
    assert judged < len(small.learnable) / 3
    assert (trial.held_out != probe.held_out).any(axis=1).sum() == judged


def test_cancelling_goes_through(small):
    with pytest.raises(JobCancelled):
        run_refinement(small, CANDIDATE, probe=probe_of(small), depth=DEPTH, watch=watch(cancelled=lambda: True))


def prepared(study, monkeypatch, **depth):
    """The plan that would be followed."""
    plans = []

    def stop(course, **options):
        plans.append(course)
        raise JobCancelled("enough")

    monkeypatch.setattr(refine_module, "cross_fit", stop)
    with pytest.raises(JobCancelled):
        run_refinement(study, CANDIDATE, probe=probe_of(study), depth=replace(DEPTH, **depth), watch=watch())
    return plans[0]


def test_the_preset_mixes_unless_somebody_said_otherwise(open_small, monkeypatch):
    calm = prepared(open_small(), monkeypatch).settings
    assert (calm.mixup_alpha, calm.cutmix_alpha, calm.rand_magnitude) == (0.0, 0.0, 0)
    mixing = prepared(open_small(), monkeypatch, mixing=True).settings
    assert min(mixing.mixup_alpha, mixing.cutmix_alpha, mixing.rand_magnitude) > 0
    said = prepared(open_small(overrides={"finetune.mixup_alpha": 0.0}), monkeypatch, mixing=True).settings
    assert said.mixup_alpha == 0.0
    assert said.cutmix_alpha > 0


@pytest.mark.parametrize(("least", "epochs"), [(0, 2), (6, 3), (1000, 6)])
def test_few_images_take_more_epochs_but_not_for_ever(open_small, monkeypatch, least, epochs):
    monkeypatch.setattr(refine_module, "LEAST_STEPS", least)  # 19 images are 2 steps an epoch
    assert prepared(open_small(), monkeypatch).epochs == epochs


def test_memory_decides_how_many_views_are_kept(open_small, monkeypatch):
    study = open_small(overrides={"refine.views": 3})
    kept = prepared(study, monkeypatch).inputs
    assert isinstance(kept, Activations)
    assert kept._views == 4
    per_view = kept._flat[0].numel() * kept._flat.element_size() * len(study.learnable)
    monkeypatch.setattr(refine_module, "MOST_MEMORY", 2 * per_view)
    assert prepared(study, monkeypatch).inputs._views == 2
    monkeypatch.setattr(refine_module, "MOST_MEMORY", per_view - 1)
    assert isinstance(prepared(study, monkeypatch).inputs, FrozenBelow)


def test_all_stages_train_where_that_is_asked_for(open_small, monkeypatch):
    course = prepared(open_small(overrides={"refine.trained_stages": 0}), monkeypatch)
    assert course.cut is None
    assert isinstance(course.inputs, Pixels)
    assert course.settings.backbone_lr == FinetuneSettings().backbone_lr


@pytest.mark.parametrize("choice", ["balanced", "plain"])
def test_the_choice_of_balance_reaches_the_training(open_small, monkeypatch, choice):
    assert prepared(open_small(class_balance=choice), monkeypatch).balanced is (choice == "balanced")


def test_numbers_that_were_searched_are_judged_on_other_folds(small, monkeypatch):
    searched = []

    def tune(course, *, trials, folds, seconds, control):
        searched.append((course, trials, folds))
        better = course.settings.model_copy(update={"backbone_lr": 7e-4})
        return Tuning(course=replace(course, settings=better), trials=trials, pruned=0)

    monkeypatch.setattr(refine_module, "tune", tune)
    course = prepared(small, monkeypatch, tuning_trials=4)
    assert searched[0][1:] == (4, 3)
    assert searched[0][0].fold_seed != course.fold_seed
    assert course.settings.backbone_lr == 7e-4
