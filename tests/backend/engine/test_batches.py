import dataclasses

import numpy as np
import pytest
import torch

from backend.engine.batches import Pixels, TrainingBatches, TrainingData


@pytest.fixture
def data(pictures, preprocessing):
    images, targets = pictures
    inputs = Pixels(images=images, preprocessing=preprocessing, device=torch.device("cpu"))
    return TrainingData(inputs=inputs, targets=targets, train=np.arange(24), val=np.arange(24, 36))


def test_another_seed_takes_another_order(data):
    batches = [
        next(iter(TrainingBatches(data, batch_size=24, seed=seed, device=torch.device("cpu"))))[1] for seed in (1, 1, 2)
    ]
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])


def test_a_last_batch_of_one_joins_its_neighbour(data):
    batches = TrainingBatches(data, batch_size=23, seed=0, device=torch.device("cpu"))
    assert len(batches) == 1
    assert [len(targets) for _, targets in batches] == [24]


def test_every_training_image_comes_once_an_epoch(data):
    batches = TrainingBatches(data, batch_size=7, seed=0, device=torch.device("cpu"))
    assert sum(torch.bincount(targets, minlength=3) for _, targets in batches).tolist() == [8, 8, 8]
    assert len(batches) == 4


def test_labels_come_as_a_matrix_of_floats(data):
    labels = np.eye(3, dtype=np.float64)[data.targets]
    batches = TrainingBatches(
        dataclasses.replace(data, targets=labels), batch_size=8, seed=1, device=torch.device("cpu")
    )
    plain = TrainingBatches(data, batch_size=8, seed=1, device=torch.device("cpu"))
    for (_, matrix), (_, index) in zip(batches, plain, strict=True):
        assert matrix.dtype == torch.float32
        assert torch.equal(matrix.argmax(dim=1), index)


def test_rand_augment_changes_training_images_by_the_seed(data):
    calm, wild = data.inputs, dataclasses.replace(data.inputs, rand_magnitude=9)
    places = np.arange(6)

    def drawn(inputs, seed):
        return inputs.training(places, torch.Generator().manual_seed(seed))

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    assert torch.equal(drawn(calm, 1), calm.plain(places))
    assert torch.equal(drawn(wild, 1), drawn(wild, 1))
    assert not torch.equal(drawn(wild, 1), drawn(wild, 2))
    assert torch.equal(wild.plain(places), calm.plain(places))
    assert torch.equal(torch.random.get_rng_state(), before)
