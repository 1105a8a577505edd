import errno

import numpy as np
import pytest
import torch
from torch import nn

from backend.contracts import EpochRecord
from backend.contracts.journal import NullJournal
from backend.engine import epoch_checkpoint as module
from backend.engine.epoch_checkpoint import EpochCheckpoints, Standing, optimiser_state, restore_optimiser
from backend.storage.journal import FileJournal


@pytest.fixture
def journal(tmp_path):
    journal = FileJournal(tmp_path / "job-1")
    journal.begin({})
    yield journal.at("training")
    journal.close()


def standing(**changes):
    shared = torch.arange(6.0).reshape(2, 3)
    fields = {
        "batch_size": 8,
        "phase": 1,
        "epochs_done": 2,
        "history": (EpochRecord(epoch=0, train_loss=None, val_loss=1 / 3, val_accuracy=0.5),),
        "by_epoch": (np.array([[0.25, 0.75]]), np.zeros((0, 2))),
        "facts": {"rates": [1 / 3], "solved": True},
        "tensors": {"module": {"a": shared, "b": shared.t()}, "random": {"cpu": torch.get_rng_state()}},
    }
    return Standing(**{**fields, **changes})


def test_a_standing_comes_back_to_the_last_bit(journal):
    written = standing()
    EpochCheckpoints(journal, identity="x").write(written)
    read = EpochCheckpoints(journal, identity="x").read()
    assert (read.batch_size, read.phase, read.epochs_done) == (8, 1, 2)
    assert (read.history, read.facts) == (written.history, written.facts)
    for one, other in zip(read.by_epoch, written.by_epoch, strict=True):
        np.testing.assert_array_equal(one, other)
    for group, tensors in written.tensors.items():
        assert all(torch.equal(read.tensors[group][name], tensor) for name, tensor in tensors.items())


def test_one_of_another_training_or_a_damaged_one_is_left_aside(journal):
    EpochCheckpoints(journal, identity="x").write(standing())
    assert EpochCheckpoints(journal, identity="y").read() is None
    path = journal.folder / module.FILE
    path.write_bytes(path.read_bytes()[:40])
    assert EpochCheckpoints(journal, identity="x").read() is None


def test_without_a_journal_nothing_is_due(monkeypatch):
    monkeypatch.setattr(module, "COST_SHARE", float("inf"))
    checkpoints = EpochCheckpoints(NullJournal(), identity="x")
    assert not checkpoints.due
    checkpoints.write(standing())
    assert checkpoints.read() is None


def test_writing_takes_a_twentieth_of_the_time_at_most(journal, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    checkpoints = EpochCheckpoints(journal, identity="x")
    assert not checkpoints.due
    now[0] = module.FIRST_S / module.COST_SHARE
    assert checkpoints.due
    save = module.save_file

    def slow(*args, **kwargs):
        now[0] += 3.0
        save(*args, **kwargs)

    monkeypatch.setattr(module, "save_file", slow)
    checkpoints.write(standing())
    now[0] += 59.5
    assert not checkpoints.due
    now[0] += 1.0
    assert checkpoints.due


def test_a_full_disk_ends_no_training_and_another_fault_does(journal, monkeypatch):
    checkpoints = EpochCheckpoints(journal, identity="x")
    checkpoints.write(standing(epochs_done=1))

    def fail(code):
        def failing(*_args, **_kwargs):
            raise OSError(code, "it failed")

        monkeypatch.setattr(module, "save_file", failing)

    fail(errno.ENOSPC)
    checkpoints.write(standing())
    assert checkpoints.read().epochs_done == 1  # the one before is whole
    assert [entry.name for entry in journal.folder.iterdir()] == [module.FILE]
    fail(errno.EIO)
    with pytest.raises(OSError, match="it failed"):
        checkpoints.write(standing())


def test_an_optimiser_steps_on_as_if_it_had_never_stopped():
    def made():
        torch.manual_seed(0)
        network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        return network, torch.optim.AdamW(network.parameters(), lr=0.1, fused=True)

    def step(network, optimiser):
        optimiser.zero_grad(set_to_none=True)
        network(torch.linspace(0, 1, 300).reshape(1, 3, 10, 10)).square().mean().backward()
        optimiser.step()

    network, optimiser = made()
    for _ in range(3):
        step(network, optimiser)
    tensors, rates = optimiser_state(optimiser)
    weights = {name: tensor.clone().contiguous() for name, tensor in network.state_dict().items()}
    tensors = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    other, fresh = made()
    other.load_state_dict(weights)
    restore_optimiser(fresh, tensors, rates)
    for _ in range(2):
        step(network, optimiser)
        step(other, fresh)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
