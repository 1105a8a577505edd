"""What a training for defects needs of the trainer: many labels, focal loss, frozen parts, parts of a batch, a checkpoint."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from backend.contracts import FinetuneSettings, LossSettings, RunControl
from backend.engine import batch_memory, trainer
from backend.engine.arithmetic import at_once
from backend.engine.batch_memory import bytes_per_image, fitting_batch
from backend.engine.batches import Pixels
from backend.engine.cbam import insert_cbam
from backend.engine.head_start import start_from_shares
from backend.engine.schedule import count_trainable, freeze_below_head, set_training_mode
from backend.engine.trainer import FinetunePlan, TrainingData, finetune, predict_inputs

SETTINGS = FinetuneSettings(backbone_lr=1e-3, head="train", head_epochs=0, head_lr=1e-3)


@pytest.fixture
def data(pictures, preprocessing):
    images, targets = pictures
    inputs = Pixels(images=images, preprocessing=preprocessing, device=torch.device("cpu"))
    return TrainingData(inputs=inputs, targets=targets, train=np.arange(24), val=np.arange(24, 36))


@pytest.fixture
def labelled(data, tiny):
    """The same pictures with a label for each class, and one that all but the first class carry."""
    tiny.task = "multilabel"
    labels = np.eye(3, dtype=np.float32)[data.targets]
    labels[:, 2] = data.targets > 0
    return dataclasses.replace(data, targets=labels)


def plan(epochs=1, **kwargs):
    return FinetunePlan(num_epochs=epochs, batch_size=8, seed=3, **kwargs)


@pytest.mark.parametrize("loss", [{}, {"type": "focal", "alpha": "dynamic"}], ids=["bce", "focal"])
def test_several_labels_an_image_are_learned(lite0, data, labelled, loss):
    lite0.task = "multilabel"
    said = LossSettings.model_validate(loss)
    outcome = finetune(lite0, labelled, settings=SETTINGS, plan=plan(4, loss=said))
    last = outcome.history[-1]
    assert last.train_loss < outcome.history[0].train_loss
    assert max(record.val_macro_f1 for record in outcome.history) > 0.8
    assert outcome.val_probabilities[:, 2].max() > 0.5
    assert outcome.val_probabilities.sum(axis=1).max() > 1.01  # each label by itself


def test_a_head_of_several_labels_begins_at_their_shares(lite0, labelled):
    lite0.task = "multilabel"
    answers = []
    for seed in range(8):  # a single head's small weights still move the answers to these twelve pictures by 0.1
        torch.manual_seed(seed)
        start_from_shares(lite0, labelled.targets)
        answers.append(predict_inputs(lite0, labelled.inputs, np.arange(12), control=RunControl()))
    np.testing.assert_allclose(np.mean(answers, axis=(0, 1)), labelled.targets.mean(axis=0), atol=0.05)
    start_from_shares(lite0, np.zeros_like(labelled.targets))  # a label that never occurs
    assert lite0.head.bias.isfinite().all()


def test_the_best_epoch_of_several_labels_is_that_of_the_macro_f1(tiny, labelled, monkeypatch):
    scores = iter([0.3, 0.9, 0.5])
    monkeypatch.setattr("backend.engine.judging.macro_f1", lambda probabilities, targets: next(scores))
    outcome = finetune(tiny, labelled, settings=SETTINGS, plan=plan(3))
    assert outcome.best_epoch == 2
    assert [record.val_macro_f1 for record in outcome.history] == [0.3, 0.9, 0.5]


def test_macro_f1_chooses_the_epoch_of_uneven_classes_where_the_plan_says_so(tiny, data, monkeypatch):
    scores = iter([0.9, 0.3])
    monkeypatch.setattr("backend.engine.judging.macro_f1", lambda probabilities, targets: next(scores))
    assert finetune(tiny, data, settings=SETTINGS, plan=plan(2, judged_by="macro_f1")).best_epoch == 1


def test_the_best_epoch_lies_on_the_disk_under_a_name_with_epoch_and_score(tiny, data, monkeypatch, tmp_path):
    scores = iter([0.25, 0.75, 0.5])
    monkeypatch.setattr("backend.engine.judging.macro_f1", lambda probabilities, targets: next(scores))
    finetune(tiny, data, settings=SETTINGS, plan=plan(3, judged_by="macro_f1", keep_in=tmp_path / "checkpoints"))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["best_model_epoch2_f1_0.7500.pt"]
    state = torch.load(tmp_path / "checkpoints" / "best_model_epoch2_f1_0.7500.pt", weights_only=True)
    own = tiny.module.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in state.items())


def test_a_frozen_backbone_leaves_head_and_attention_to_train(tiny, data):
    insert_cbam(tiny.module)
    before = copy.deepcopy(tiny.module.state_dict())
    finetune(tiny, data, settings=SETTINGS.model_copy(update={"freeze_backbone": True}), plan=plan(2))
    moved = {name for name, tensor in tiny.module.state_dict().items() if not torch.equal(tensor, before[name])}
    assert any(".cbam." in name for name in moved)
    assert {name for name in moved if ".cbam." not in name} == {"classifier.weight", "classifier.bias"}


def test_weights_that_train_are_counted(tiny):
    freeze_below_head(tiny, frozen=True)
    head = sum(parameter.numel() for parameter in tiny.head.parameters())
    assert count_trainable(tiny) == head
    freeze_below_head(tiny, frozen=False)
    assert count_trainable(tiny) > head


def test_statistics_follow_the_pictures_only_where_asked_and_not_in_frozen_layers(tiny, data):
    tiny.weights = "imagenet"
    norm = next(part for part in tiny.module.modules() if isinstance(part, torch.nn.BatchNorm2d))
    set_training_mode(tiny, follow=False)
    assert not norm.training
    set_training_mode(tiny, follow=True)
    assert norm.training
    norm.weight.requires_grad_(requires_grad=False)
    set_training_mode(tiny, follow=True)
    assert not norm.training

    norm.weight.requires_grad_(requires_grad=True)
    before = norm.running_mean.clone()
    finetune(tiny, data, settings=SETTINGS.model_copy(update={"batch_norm": "train"}), plan=plan())
    assert not torch.equal(norm.running_mean, before)


def test_a_batch_that_memory_does_not_hold_comes_in_equal_parts(tiny, data, monkeypatch):
    each = bytes_per_image(tiny, data.inputs)
    assert each > tiny.module.conv_stem.out_channels * 32 * 32 * 2  # at least the first map, in bfloat16
    monkeypatch.setattr(batch_memory, "free_memory_mb", lambda: 1_000_000)
    assert fitting_batch(tiny, data.inputs, 8) == 8
    monkeypatch.setattr(batch_memory, "free_memory_mb", lambda: 5 * 2 * each / batch_memory.MIB)
    assert fitting_batch(tiny, data.inputs, 8) == 4  # five would fit, four are equal parts
    monkeypatch.setattr(batch_memory, "free_memory_mb", lambda: 0)
    assert fitting_batch(tiny, data.inputs, 8) == 2
    monkeypatch.setattr(batch_memory, "free_memory_mb", lambda: None)
    assert fitting_batch(tiny, data.inputs, 8) == 8


@pytest.mark.parametrize(("size", "many"), [((224, 224), 32), ((32, 32), 32), ((256, 1600), 3), ((4096, 4096), 1)])
def test_large_pictures_are_answered_few_at_a_time(size, many):
    assert at_once(32, height=size[0], width=size[1]) == many


def test_parts_of_a_batch_step_as_often_as_whole_ones(tiny, data, monkeypatch):
    steps = []
    make = trainer.make_scheduler

    def seen(optimiser, *, steps: int, warmup_fraction: float, told=steps):
        told.append(steps)
        return make(optimiser, steps=steps, warmup_fraction=warmup_fraction)

    monkeypatch.setattr(trainer, "make_scheduler", seen)
    finetune(copy.deepcopy(tiny), data, settings=SETTINGS, plan=plan())
    monkeypatch.setattr(trainer, "fitting_batch", lambda network, inputs, batch_size: 2)
    finetune(tiny, data, settings=SETTINGS, plan=plan())
    assert steps == [3, 3]


def test_warm_up_can_be_said_in_epochs(tiny, data, monkeypatch):
    told = []
    make = trainer.make_scheduler

    def seen(optimiser, *, steps: int, warmup_fraction: float):
        told.append(warmup_fraction)
        return make(optimiser, steps=steps, warmup_fraction=warmup_fraction)

    monkeypatch.setattr(trainer, "make_scheduler", seen)
    finetune(tiny, data, settings=SETTINGS.model_copy(update={"warmup_epochs": 1.0}), plan=plan(4))
    assert told == [0.25]
