from __future__ import annotations

import pytest
import torch

from backend.contracts import Preprocessing
from backend.data.augmentation_catalogue import AUGMENTATION_CATALOGUE
from backend.data.transforms import AUGMENTATIONS, augment, normalise
from backend.errors import RecipeError

NAMES = AUGMENTATION_CATALOGUE.names()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int = 6, *, size: tuple[int, int] = (20, 24)) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=seeded(1))


def test_normalising_subtracts_the_mean_and_divides_by_the_spread():
    preprocessing = Preprocessing(height=2, width=2, mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    batch = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 2, 2, 3)
    planes = normalise(batch, preprocessing)
    assert planes.shape == (2, 3, 2, 2)
    assert planes.dtype == torch.float32
    assert planes[0, :, 0, 0].tolist() == [0.0, -1.0, -4.0]
    assert planes[1, :, 0, 0].tolist() == [1.0, 1.0, 0.0]


def test_normalised_batches_lie_channels_last_and_leave_their_source_alone():
    batch = torch.randint(0, 256, (3, 8, 10, 3), dtype=torch.uint8)
    before = batch.clone()
    planes = normalise(batch, Preprocessing(height=8, width=10, mean=(0.1, 0.2, 0.3), std=(1, 1, 1)))
    assert planes.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch, before)


def test_the_catalogue_and_the_functions_agree():
    assert AUGMENTATIONS.names() == NAMES
    for entry in AUGMENTATION_CATALOGUE:
        made = AUGMENTATIONS.get(entry.name)
        assert (made.description, made.default) == (entry.description, entry.default)


@pytest.mark.parametrize("name", NAMES)
def test_each_changes_images_reproducibly_and_keeps_shape_kind_and_source(name):
    batch = noise()
    before = batch.clone()
    first, again, other = (augment(batch, [name], seeded(seed)) for seed in (3, 3, 4))
    assert (first.shape, first.dtype) == (batch.shape, batch.dtype)
    assert torch.equal(batch, before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, batch)


@pytest.mark.parametrize("name", NAMES)
def test_each_works_on_floats_and_stays_in_their_range(name):
    changed = augment(noise().float() / 255, [name], seeded())
    assert changed.dtype == torch.float32
    assert changed.min() >= 0
    assert changed.max() <= 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 2)])
def test_each_takes_the_smallest_images_and_an_empty_batch(name, size):
    assert augment(noise(4, size=size), [name], seeded()).shape == (4, 3, *size)
    assert augment(noise(0, size=size), [name], seeded()).shape == (0, 3, *size)


@pytest.mark.parametrize("name", [name for name in NAMES if "flip" not in name])
def test_every_image_of_a_batch_gets_a_change_of_its_own(name):
    batch = noise(1).expand(12, 3, 20, 24)
    changed = augment(batch, [name], seeded())
    assert len({image.numpy().tobytes() for image in changed}) > 4


@pytest.mark.parametrize(("name", "axis"), [("horizontal_flip", -1), ("vertical_flip", -2)])
def test_flips_turn_about_half_and_leave_the_rest(name, axis):
    batch = noise(200, size=(4, 4))
    changed = augment(batch, [name], seeded())
    turned = [bool(torch.equal(new, old.flip(axis))) for new, old in zip(changed, batch, strict=True)]
    left = [bool(torch.equal(new, old)) for new, old in zip(changed, batch, strict=True)]
    assert all(a or b for a, b in zip(turned, left, strict=True))
    assert 70 < sum(turned) < 130


def test_several_are_made_in_the_catalogues_order_whatever_order_is_given():
    one = augment(noise(), ["horizontal_flip", "rotation"], seeded())
    assert torch.equal(one, augment(noise(), ["rotation", "horizontal_flip"], seeded()))


def test_none_changes_nothing():
    assert torch.equal(augment(noise(), [], seeded()), noise())


def test_an_unknown_one_is_refused_with_the_nearest_name():
    with pytest.raises(RecipeError, match="'rotation'"):
        augment(noise(), ["rotate"], seeded())
