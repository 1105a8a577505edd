from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from backend.contracts import Deadline, FinetuneSettings, RunControl
from backend.engine import batches as batches_module
from backend.engine import judging, trainer
from backend.engine.batches import Pixels
from backend.engine.metrics import log_loss
from backend.engine.steps import GRADIENT_NORM
from backend.engine.trainer import FinetunePlan, TrainingData, finetune, predict_inputs
from backend.errors import DeadlineExceeded, JobCancelled, OutOfMemory, RecipeError

SETTINGS = FinetuneSettings(backbone_lr=1e-3, head="train")
SOLVED = SETTINGS.model_copy(update={"head": "solve"})


@pytest.fixture
def data(pictures, preprocessing):
    images, targets = pictures
    inputs = Pixels(images=images, preprocessing=preprocessing, device=torch.device("cpu"))
    return TrainingData(inputs=inputs, targets=targets, train=np.arange(24), val=np.arange(24, 36))


def changed_inputs(data, **changes):
    return dataclasses.replace(data, inputs=dataclasses.replace(data.inputs, **changes))


def predicted(network, data):
    return predict_inputs(network, data.inputs, data.val, control=RunControl())


def plan(epochs=2, **kwargs):
    return FinetunePlan(num_epochs=epochs, batch_size=8, seed=3, **kwargs)


def scripted(monkeypatch, accuracies):
    """Let validation see these accuracies in turn, whatever the network learned."""
    wanted = iter(accuracies)
    monkeypatch.setattr(judging, "accuracy", lambda probabilities, targets: next(wanted))
    monkeypatch.setattr(judging, "log_loss", lambda probabilities, targets: 1.0)


def states_by_epoch(network, states):
    """A callback that keeps the weights after each epoch."""

    def keep(record):
        states[record.epoch] = copy.deepcopy(network.module.state_dict())

    return keep


def same(left, right):
    return all(torch.equal(left[name], right[name]) for name in left)


def test_training_learns_and_says_how_each_epoch_went(lite0, data):
    told, settings = [], FinetuneSettings(head="train", head_lr=1e-3, backbone_lr=3e-4)
    outcome = finetune(lite0, data, settings=settings, plan=plan(3), on_epoch=told.append)
    assert [record.epoch for record in outcome.history] == [1, 2, 3]
    assert tuple(told) == outcome.history
    assert outcome.history[-1].train_loss < outcome.history[0].train_loss
    assert max(record.val_accuracy for record in outcome.history) > 0.8
    assert outcome.stopped_early is None


def test_a_solved_head_knows_the_classes_before_the_first_step(lite0, data):
    outcome = finetune(lite0, data, settings=SOLVED, plan=plan(1))
    assert [record.epoch for record in outcome.history] == [0, 1]
    assert outcome.history[0].val_accuracy > 0.9


def test_a_head_is_solved_without_the_validation_images(tiny, data):
    blank = data.inputs.images.copy()
    blank[data.val] = 0
    heads = []
    for network, images in ((tiny, data.inputs.images), (copy.deepcopy(tiny), blank)):
        states = {}
        keep = states_by_epoch(network, states)
        changed = changed_inputs(data, images=images)
        finetune(network, changed, settings=SOLVED, plan=plan(1), on_epoch=keep)
        heads.append(states[0])
    assert same(*heads)
    assert not torch.equal(heads[0]["classifier.weight"], states[1]["classifier.weight"])


@pytest.mark.parametrize("reason", ["scratch", "one image of a class"])
def test_a_head_that_cannot_be_solved_is_trained(tiny, data, reason):
    if reason == "scratch":
        tiny.weights = "scratch"
    else:
        data = dataclasses.replace(data, train=np.array([0, 1, 3, 4, 6, 7, 2]))
    outcome = finetune(tiny, data, settings=SOLVED, plan=plan(2))
    assert [record.epoch for record in outcome.history] == [1, 2]


def test_the_same_seed_gives_the_same_weights_and_leaves_the_callers_random_state_alone(tiny, data):
    twin = copy.deepcopy(tiny)
    torch.manual_seed(9)
    before = torch.random.get_rng_state()
    data = changed_inputs(data, augmentations=("horizontal_flip",))
    first = finetune(tiny, data, settings=SETTINGS, plan=plan(2))
    second = finetune(twin, data, settings=SETTINGS, plan=plan(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.history == second.history
    assert same(tiny.module.state_dict(), twin.module.state_dict())


def test_the_weights_of_the_best_epoch_come_back_with_their_predictions(tiny, data, monkeypatch):
    scripted(monkeypatch, [0.2, 0.9, 0.5])
    states = {}
    outcome = finetune(tiny, data, settings=SETTINGS, plan=plan(3), on_epoch=states_by_epoch(tiny, states))
    assert outcome.best_epoch == 2
    assert same(tiny.module.state_dict(), states[2])
    assert not same(states[2], states[3])
    again = predicted(tiny, data)
    np.testing.assert_allclose(outcome.val_probabilities, again, atol=1e-6)


def test_it_stops_when_validation_no_longer_improves(tiny, data, monkeypatch):
    scripted(monkeypatch, [0.5, 0.4, 0.4, 0.9])
    settings = SETTINGS.model_copy(update={"patience": 2})
    outcome = finetune(tiny, data, settings=settings, plan=plan(10))
    assert len(outcome.history) == 3
    assert outcome.best_epoch == 1
    assert "No better validation score for 2 epochs" in outcome.stopped_early


def test_among_equal_accuracies_the_smaller_loss_wins(tiny, data, monkeypatch):
    scripted(monkeypatch, [0.5, 0.5])
    losses = iter([1.0, 0.8])
    monkeypatch.setattr(judging, "log_loss", lambda probabilities, targets: next(losses))
    assert finetune(tiny, data, settings=SETTINGS, plan=plan(2)).best_epoch == 2


def test_the_first_epoch_moves_the_head_alone_and_the_next_everything(tiny, data):
    states = {0: copy.deepcopy(tiny.module.state_dict())}
    finetune(tiny, data, settings=SETTINGS, plan=plan(2), on_epoch=states_by_epoch(tiny, states))
    moved = [{name for name in states[0] if not torch.equal(states[e][name], states[e + 1][name])} for e in (0, 1)]
    assert moved[0] == {"classifier.weight", "classifier.bias"}
    assert "conv_stem.weight" in moved[1]


def test_pretrained_batchnorm_statistics_stay_and_scratch_ones_learn(tiny, data):
    before = tiny.module.bn1.running_mean.clone()
    finetune(tiny, data, settings=SETTINGS, plan=plan(2))
    assert torch.equal(tiny.module.bn1.running_mean, before)
    tiny.weights = "scratch"
    finetune(tiny, data, settings=SETTINGS, plan=plan(1))
    assert not torch.equal(tiny.module.bn1.running_mean, before)


def test_cancelling_stops_at_the_next_batch(tiny, data):
    calls = iter([False, False, True])
    with pytest.raises(JobCancelled):
        finetune(tiny, data, settings=SETTINGS, plan=plan(), control=RunControl(cancelled=lambda: next(calls)))
    assert next(calls, "all asked") == "all asked"


class Expiring(Deadline):
    """A deadline that passes when it is told to."""

    over = False

    def __init__(self):
        super().__init__(None)

    def expired(self):
        return self.over


class Strict(RunControl):
    """A control whose check minds the deadline too, as the search room's does."""

    def check(self):
        super().check()
        if self.deadline.expired():
            raise DeadlineExceeded("The time budget is used up.")


@pytest.mark.parametrize("kind", [RunControl, Strict])
def test_at_the_deadline_the_best_epoch_so_far_is_kept(tiny, data, kind):
    deadline, states = Expiring(), {}
    keep = states_by_epoch(tiny, states)

    def on_epoch(record):
        keep(record)
        deadline.over = True

    outcome = finetune(tiny, data, settings=SETTINGS, plan=plan(5), control=kind(deadline=deadline), on_epoch=on_epoch)
    assert (outcome.best_epoch, len(outcome.history)) == (1, 1)
    assert "time budget" in outcome.stopped_early
    assert same(tiny.module.state_dict(), states[1])


def test_a_deadline_within_the_first_epoch_keeps_what_there_is(tiny, data):
    outcome = finetune(tiny, data, settings=SETTINGS, plan=plan(5), control=RunControl(deadline=Deadline(0.0)))
    assert outcome.history[0].train_loss is None
    assert outcome.val_probabilities.shape == (12, 3)


def test_a_control_that_minds_the_deadline_ends_a_training_that_has_nothing_yet(tiny, data):
    with pytest.raises(DeadlineExceeded):
        finetune(tiny, data, settings=SETTINGS, plan=plan(5), control=Strict(deadline=Deadline(0.0)))
    assert all(parameter.requires_grad for parameter in tiny.module.parameters())


def test_a_solved_head_counts_as_best_until_training_beats_it(tiny, data, monkeypatch):
    scripted(monkeypatch, [0.9, 0.1, 0.2])
    states = {}
    outcome = finetune(tiny, data, settings=SOLVED, plan=plan(2), on_epoch=states_by_epoch(tiny, states))
    assert [record.epoch for record in outcome.history] == [0, 1, 2]
    assert outcome.best_epoch == 0
    assert same(tiny.module.state_dict(), states[0])
    assert not same(states[0], states[2])


def test_the_loss_weighs_rare_classes_and_smooths_the_target_as_told(tiny, data, monkeypatch):
    seen = []
    cross_entropy = torch.nn.functional.cross_entropy

    def spy(*args, **kwargs):
        seen.append((kwargs["weight"], kwargs["label_smoothing"]))
        return cross_entropy(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", spy)
    targets = np.array([0] * 20 + [1] * 2 + [2] * 2 + [0] * 12)
    settings = SETTINGS.model_copy(update={"label_smoothing": 0.25})
    finetune(tiny, dataclasses.replace(data, targets=targets, balanced=True), settings=settings, plan=plan(1))
    assert [weight.tolist() for weight, _ in seen] == [pytest.approx([0.4, 4.0, 4.0])] * len(seen)
    assert {smoothing for _, smoothing in seen} == {0.25}


def test_a_loss_gone_wild_cannot_undo_an_epoch_because_gradients_are_cut(tiny, data, monkeypatch):
    lengths = []
    step = torch.optim.AdamW.step

    def spy(optimiser, *args, **kwargs):
        learning = [p.grad for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
        lengths.append(float(torch.linalg.vector_norm(torch.stack([gradient.norm() for gradient in learning]))))
        return step(optimiser, *args, **kwargs)

    cross_entropy = torch.nn.functional.cross_entropy
    monkeypatch.setattr(
        torch.nn.functional, "cross_entropy", lambda *args, **kwargs: 1e4 * cross_entropy(*args, **kwargs)
    )
    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    finetune(tiny, data, settings=SETTINGS, plan=plan(1))
    assert lengths == [pytest.approx(GRADIENT_NORM, rel=1e-3)] * 3


def test_training_images_are_augmented_as_told_and_validation_images_are_not(tiny, data, monkeypatch):
    seen = []
    augment = batches_module.augment
    monkeypatch.setattr(
        batches_module,
        "augment",
        lambda batch, names, generator: seen.append(names) or augment(batch, names, generator),
    )
    data = changed_inputs(data, augmentations=("vertical_flip",))
    outcome = finetune(tiny, data, settings=SETTINGS, plan=plan(1))
    assert seen == [("vertical_flip",)] * 3
    again = predicted(tiny, data)
    np.testing.assert_allclose(outcome.val_probabilities, again, atol=1e-6)


def test_a_loss_that_explodes_is_an_error_with_advice_where_nothing_was_learned(tiny, data):
    with torch.no_grad():
        tiny.module.conv_stem.weight.fill_(float("nan"))
    with pytest.raises(RecipeError, match="backbone_lr"):
        finetune(tiny, data, settings=SETTINGS, plan=plan())


def test_validation_loss_is_the_log_loss_of_the_kept_predictions(tiny, data):
    outcome = finetune(tiny, data, settings=SETTINGS, plan=plan(1))
    assert outcome.history[0].val_loss == pytest.approx(
        log_loss(outcome.val_probabilities, data.targets[data.val]), abs=1e-9
    )


def test_the_moving_average_is_what_is_judged_and_kept(tiny, data):
    twin = copy.deepcopy(tiny)
    averaged = SETTINGS.model_copy(update={"ema_decay": 0.9, "head_epochs": 0, "backbone_lr": 1e-2})
    outcome = finetune(tiny, data, settings=averaged, plan=plan(2, keep="last"))
    finetune(twin, data, settings=averaged.model_copy(update={"ema_decay": 0.0}), plan=plan(2, keep="last"))
    assert not same(tiny.module.state_dict(), twin.module.state_dict())
    np.testing.assert_allclose(outcome.val_probabilities, predicted(tiny, data), atol=1e-6)


def test_the_last_epoch_is_kept_where_that_is_asked_for(tiny, data, monkeypatch):
    scripted(monkeypatch, [0.9, 0.1, 0.2])
    states = {}
    settings = SOLVED.model_copy(update={"patience": 1})
    keep = states_by_epoch(tiny, states)
    outcome = finetune(tiny, data, settings=settings, plan=plan(2, keep="last"), on_epoch=keep)
    assert (outcome.best_epoch, len(outcome.by_epoch)) == (2, 3)
    assert same(tiny.module.state_dict(), states[2])


def test_nothing_needs_to_be_held_out(tiny, data):
    everything = dataclasses.replace(data, train=np.arange(36), val=np.zeros(0, dtype=np.int64))
    outcome = finetune(tiny, everything, settings=SOLVED, plan=plan(2, keep="last"))
    assert outcome.best_epoch == 2
    assert outcome.val_probabilities.shape == (0, 3)
    assert [record.val_accuracy for record in outcome.history] == [None] * 3


def test_a_schedule_can_be_left_early(tiny, data):
    outcome = finetune(tiny, data, settings=SETTINGS, plan=plan(9, keep="last", stop_after=2))
    assert (outcome.best_epoch, outcome.stopped_early) == (2, None)


def test_a_head_is_solved_on_features_that_are_known(tiny, data):
    known = np.zeros((36, tiny.head.in_features), dtype=np.float32)
    known[np.arange(36), data.targets] = 1.0
    states = {}
    finetune(
        tiny,
        dataclasses.replace(data, features=known),
        settings=SOLVED,
        plan=plan(1),
        on_epoch=states_by_epoch(tiny, states),
    )
    weight = states[0]["classifier.weight"]
    assert weight[:, :3].argmax(dim=1).tolist() == [0, 1, 2]
    assert (weight[:, 3:].abs() < 1e-6).all()


def out_of_memory_at(monkeypatch, sizes):
    """Steps on batches of these sizes do not fit into the memory."""
    step, tried = trainer.Stepper.step, []

    def fake(stepper, inputs, targets):
        tried.append(len(targets))
        if len(targets) in sizes:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return step(stepper, inputs, targets)

    monkeypatch.setattr(trainer.Stepper, "step", fake)
    return tried


def test_where_the_memory_is_too_small_all_begins_again_with_half_the_batch(tiny, data, monkeypatch):
    twin = copy.deepcopy(tiny)
    tried = out_of_memory_at(monkeypatch, {8})
    outcome = finetune(tiny, data, settings=SETTINGS, plan=plan(1))
    assert tried == [8] + [4] * 6
    assert [record.epoch for record in outcome.history] == [1]
    small = FinetunePlan(num_epochs=1, batch_size=4, seed=3)
    finetune(twin, data, settings=SETTINGS.model_copy(update={"accumulate": 2}), plan=small)
    assert same(tiny.module.state_dict(), twin.module.state_dict())


def test_where_half_the_batch_does_not_fit_either_it_says_so(tiny, data, monkeypatch):
    out_of_memory_at(monkeypatch, {8, 4})
    with pytest.raises(OutOfMemory, match="even in batches of 4 images"):
        finetune(tiny, data, settings=SETTINGS, plan=plan(1))


def test_weights_half_way_are_judged_and_kept_as_asked(tiny, data):
    twin, states = copy.deepcopy(tiny), {}
    settings = SOLVED.model_copy(update={"backbone_lr": 1e-2})
    whole = finetune(
        tiny,
        data,
        settings=settings,
        plan=plan(2, keep="last", blends=(0.5, 1.0)),
        on_epoch=states_by_epoch(tiny, states),
    )
    half = finetune(twin, data, settings=settings, plan=plan(2, keep="last", share=0.5))
    np.testing.assert_array_equal(whole.by_blend[1.0], whole.val_probabilities)
    np.testing.assert_array_equal(whole.by_blend[0.5], half.val_probabilities)
    assert same(tiny.module.state_dict(), states[2])
    middle = {name: (states[0][name] + states[2][name]) / 2 for name, _ in tiny.module.named_parameters()}
    for name, parameter in twin.module.named_parameters():
        torch.testing.assert_close(parameter.detach(), middle[name])
