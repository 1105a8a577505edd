from __future__ import annotations

import pytest

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
