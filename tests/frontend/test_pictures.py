"""Pictures made fit for the screen."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from frontend.widgets import pictures


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((28, 28), (504, 504)),
        ((2000, 1000), (512, 256)),
        ((300, 200), (300, 200)),
        ((1, 1), (512, 512)),
        ((1600, 256), (1280, 205)),
    ],
)
def test_a_picture_is_scaled_to_a_size_that_can_be_seen(size, shown):
    assert opened(pictures.for_screen(encoded(Image.new("RGB", size)))).size == shown


@pytest.mark.parametrize(
    ("size", "orientation", "expected"),
    [((1600, 256), 1, True), ((300, 200), 1, False), ((256, 1600), 1, False), ((256, 1600), 6, True)],
)
def test_a_strip_is_told_by_its_shape_upright(size, orientation, expected):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert pictures.is_long(encoded(Image.new("L", size), "JPEG", exif=exif)) is expected


def test_what_is_no_picture_is_no_strip():
    assert not pictures.is_long(b"nothing")


def test_a_photograph_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    data = encoded(Image.new("RGB", (300, 200)), "JPEG", exif=exif)
    assert opened(pictures.for_screen(data)).size == (200, 300)


def test_transparency_becomes_white():
    data = encoded(Image.new("RGBA", (200, 200), (0, 0, 0, 0)))
    assert opened(pictures.for_screen(data)).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("data", [b"", b"nothing", b"\x89PNG\r\n\x1a\n truncated"])
def test_what_pillow_cannot_open_is_no_picture(data):
    assert pictures.for_screen(data) is None
    assert pictures.blend(data, data, share=0.5) is None


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.5, 127), (1.0, 255)])
def test_the_slider_moves_from_the_picture_to_the_heat_map(share, expected):
    black, white = (encoded(Image.new("RGB", (200, 160), colour)) for colour in ("black", "white"))
    mixed = opened(pictures.blend(black, white, share=share))
    assert mixed.getpixel((9, 9)) == (expected,) * 3


def test_a_missing_thumbnail_leaves_a_gap_and_no_error(api, service):
    dataset = service.add_dataset()
    good = dataset["samples"]["circle"][0]
    found = pictures.thumbnails(api, api.base_url, (good, "/api/cv/datasets/ds-gone/images/circle-1", "http://x.test/"))
    assert found[0] is not None
    assert found[1:] == [None, None]
