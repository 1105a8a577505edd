from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from backend.data.images import placement, prepare_image
from backend.data.preprocessing import choose_preprocessing

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)


def chosen(listed, *sizes):
    dataset = listed(*((("a", "b")[n % 2], str(n), *size) for n, size in enumerate(sizes)))
    return choose_preprocessing(dataset, size=224, mean=MEAN, std=STD)


@pytest.mark.parametrize(
    ("sizes", "resize"),
    [
        ([(32, 32)] * 20, "squash"),
        ([(640, 480)] * 20, "squash"),
        ([(100, 95), (100, 105)] * 10, "squash"),
        ([(32, 32)] * 99 + [(500, 20)], "squash"),
        ([(640, 480), (480, 640)] * 10, "letterbox"),
        ([(640, 160)] * 20, "letterbox"),
        ([(100, 300)] * 20, "letterbox"),
        ([(100, 100), (150, 100)] * 10, "letterbox"),
    ],
    ids=["square", "4:3", "nearly square", "one odd", "both ways up", "strips", "tall", "mixed"],
)
def test_the_shapes_decide_and_nothing_is_ever_cropped(listed, sizes, resize):
    preprocessing = chosen(listed, *sizes)
    assert preprocessing.resize == resize
    assert (preprocessing.width, preprocessing.height) == (224, 224)
    assert (preprocessing.mean, preprocessing.std) == (MEAN, STD)
    assert preprocessing.reason.endswith("nothing is cut off.")


def test_the_reason_gives_the_numbers(listed):
    assert "square (width / height is 1.00" in chosen(listed, *[(32, 32)] * 4).reason
    assert "width / height is 4.00" in chosen(listed, *[(640, 160)] * 4).reason
    reason = chosen(listed, *[(640, 480), (480, 640)] * 4).reason
    assert "from 0.75 to 1.33" in reason
    assert "median 1.04" in reason


def fed(listed, resolution, *sizes):
    dataset = listed(*((("a", "b")[n % 2], str(n), *size) for n, size in enumerate(sizes)))
    return choose_preprocessing(dataset, size=224, mean=MEAN, std=STD, resolution=resolution)


def test_full_resolution_takes_pictures_as_they_are(listed):
    strips = fed(listed, "full", *[(640, 160)] * 4)
    assert (strips.width, strips.height, strips.resize) == (640, 160, "pad")
    assert strips.reason == "Images are taken as they are, 640 x 160 pixels: nothing is resized or cut off."

    odd = fed(listed, "full", *[(650, 150)] * 4)
    assert (odd.width, odd.height) == (672, 160)
    assert "a multiple of 32" in odd.reason

    mixed = fed(listed, "full", (100, 200), (300, 50))
    assert (mixed.width, mixed.height, mixed.resize) == (320, 224, "pad")
    assert "their sizes differ" in mixed.reason


def test_full_resolution_changes_no_pixel_and_fills_up_with_the_mean_colour(listed):
    how = fed(listed, "full", *[(50, 40)] * 4)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    canvas = prepare_image(Image.fromarray(pixels), how)
    assert canvas.shape == (64, 64, 3)
    assert np.array_equal(canvas[12:52, 7:57], pixels)
    assert canvas[0, 0].tolist() == [round(255 * channel) for channel in MEAN]


def test_what_is_larger_than_anything_in_training_is_scaled_down_and_not_cut(listed):
    how = fed(listed, "full", *[(64, 64)] * 4)
    place = placement((256, 128), how)
    assert (place.width, place.height, place.left, place.top) == (64, 32, 0, 16)
    assert placement((32, 16), how).width == 32


def test_one_huge_picture_does_not_decide_for_all(listed):
    how = fed(listed, "full", *[(320, 160)] * 99, (30_000, 30_000))
    assert (how.width, how.height) == (320, 160)


def test_a_size_that_was_asked_for_is_rounded_up_to_the_stride(listed):
    how = fed(listed, (120, 640), *[(640, 160)] * 4)
    assert (how.height, how.width, how.resize) == (128, 640, "squash")
    assert fed(listed, (320, 320), *[(640, 160)] * 4).resize == "letterbox"


@pytest.mark.parametrize(("resolution", "smallest"), [("full", 4), ("network", 12), ((320, 1280), 4), ((80, 320), 8)])
def test_the_smallest_defect_that_stays_four_pixels_wide(listed, resolution, smallest):
    """640 pixels on 224 shrink to 0.35: 12 pixels become 4.2; upscaling shows nothing that was not there."""
    assert fed(listed, resolution, *[(640, 160)] * 20).smallest_defect_px == smallest
