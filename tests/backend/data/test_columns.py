"""Plain JPEGs decoded into a column are what Pillow makes of them; all others are left to Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from backend.data.columns import column_of, decode_column, plain_size


def saved(seed: int, form: str = "JPEG", *, size=(40, 24), mode="RGB", **options) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, form, **options)
    return file.getvalue()


PLAIN = {
    "baseline": {},
    "progressive": {"progressive": True},
    "fine chroma": {"subsampling": 0},
    "own tables": {"optimize": True},
    "restart marks": {"restart_marker_rows": 1},
    "a comment": {"comment": b"hello"},
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_jpeg_is_decoded_as_pillow_does(name):
    blobs = [saved(seed, **PLAIN[name]) for seed in range(3)]
    assert {plain_size(blob) for blob in blobs} == {(40, 24)}
    column, whole = decode_column(blobs, (40, 24))
    assert whole == [True] * 3
    assert column.tobytes() == column_of([Image.open(io.BytesIO(blob)).convert("RGB") for blob in blobs]).tobytes()


TURNED = Image.Exif()
TURNED[0x0112] = 6
OTHERS = {
    "grey": saved(0, mode="L"),
    "CMYK": saved(0, mode="CMYK"),
    "turned": saved(0, exif=TURNED),
    "RGB without change": saved(0, keep_rgb=True),
    "several pictures": saved(0, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))]),
    "PNG": saved(0, "PNG"),
    "nothing": b"",
    "its first bytes": saved(0)[:30],
    "noise": b"\xff\xd8" + bytes(range(256)),
    "a frame of no height": b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x00\x00\x10\x03\x01\x22\x00\xff\xda\x00\x02",
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_plain_is_left_to_pillow(name):
    assert plain_size(OTHERS[name]) is None


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_picture_cut_short_is_not_whole_and_spoils_no_other(share):
    blobs = [saved(seed) for seed in range(3)]
    blobs[1] = blobs[1][: int(len(blobs[1]) * share)]
    column, whole = decode_column(blobs, (40, 24))
    assert whole == [True, False, True]
    last = Image.open(io.BytesIO(blobs[2])).convert("RGB")
    assert column.crop((0, 48, 40, 72)).tobytes() == last.tobytes()
