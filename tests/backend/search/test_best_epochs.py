"""Which epoch's weights become a file, and that nothing done to the network later changes them."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from backend.contracts import Candidate, EpochRecord, Recipe
from backend.engine.model_folder import best_checkpoint
from backend.search.best_epochs import best_epoch_of, keep_where_wanted, kept_of
from backend.search.trial import Trial

CANDIDATE = Candidate(
    name="timm:resnet10t",
    family="resnet",
    timm_name="resnet10t",
    parameters=3,
    input_size=224,
    weights="scratch",
    weights_source=None,
    default=False,
    description="",
)


def study(tmp_path=None, *, strategy="finetune"):
    recipe = Recipe(dataset_id="ds-1", strategy=strategy)
    folder = None if tmp_path is None else tmp_path / "timm-resnet10t"
    return SimpleNamespace(recipe=recipe, checkpoint_folder=lambda _: folder)


def epoch(number, accuracy, f1=None):
    return EpochRecord(epoch=number, train_loss=1.0, val_loss=1.0, val_accuracy=accuracy, val_macro_f1=f1)


def trial(*history, best=2, **fields):
    model = SimpleNamespace(network=SimpleNamespace(module=nn.Linear(2, 1)))
    told = {"candidate": CANDIDATE, "strategy": "finetune", "history": history, "best_epoch": best, "model": model}
    return Trial(**{**told, **fields})


@pytest.mark.parametrize(
    ("history", "name"),
    [
        ((epoch(1, 0.5), epoch(2, 0.75)), "best_model_epoch2_accuracy_0.7500.pt"),
        ((epoch(1, 0.5, 0.1), epoch(2, 0.0, 0.30001)), "best_model_epoch2_f1_0.3000.pt"),
    ],
)
def test_the_name_says_the_epoch_and_the_score_that_chose_it(history, name):
    assert best_epoch_of(study(), trial(*history)).filename == name


@pytest.mark.parametrize(
    ("strategy", "fields"),
    [
        ("auto", {}),  # a refinement ends with its last epoch
        ("probe", {"strategy": "probe"}),
        ("finetune", {"strategy": "ensemble", "members": ((trial(epoch(2, 0.5)), 1.0),)}),
        ("finetune", {"best_epoch": None}),
    ],
)
def test_where_no_epoch_was_chosen_there_is_none(strategy, fields):
    assert best_epoch_of(study(strategy=strategy), trial(epoch(2, 0.5), **fields)) is None


def test_what_is_kept_stays_when_the_network_is_calibrated(tmp_path):
    tuned = trial(epoch(2, 0.5))
    kept = kept_of(study(), tuned)
    before = tuned.model.network.module.weight.detach().clone()
    with torch.no_grad():
        tuned.model.network.module.weight.mul_(3)
    written = kept.write(tmp_path / "checkpoints")
    assert best_checkpoint(tmp_path) == written
    assert torch.equal(torch.load(written, weights_only=True)["weight"], before)


def test_a_network_that_was_let_go_leaves_nothing():
    assert kept_of(study(), trial(epoch(2, 0.5)).without_model()) is None


def test_a_run_that_wants_files_gets_one_a_network_and_another_run_none(tmp_path):
    keep_where_wanted(study(tmp_path), trial(epoch(2, 0.5)))
    assert [path.name for path in tmp_path.glob("*/*")] == ["best_model_epoch2_accuracy_0.5000.pt"]
    keep_where_wanted(study(), trial(epoch(2, 0.5)))
    assert len(list(tmp_path.glob("*/*"))) == 1
