from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from backend.contracts import Preprocessing
from backend.data.images import check_image, open_image, placement, prepare_image, to_rgb
from backend.errors import ImageError, TooLargeError

PIXELS = 1_000_000
GREY = (0.5, 0.5, 0.5)


def saved(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def values(image: Image.Image) -> np.ndarray:
    return np.asarray(image)


def quarters() -> Image.Image:
    """Left red, right blue, with a green line on top: any turn or mirroring shows."""
    pixels = np.zeros((20, 30, 3), dtype=np.uint8)
    pixels[:, :15, 0] = pixels[:, 15:, 2] = 255
    pixels[:4] = (0, 255, 0)
    return Image.fromarray(pixels)


def png_header(width: int, height: int) -> bytes:
    """A PNG whose header promises a size; the data that should follow are a few bytes."""
    chunks = [
        (b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"x" * 10)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "AVIF", "JPEG", "GIF"])
def test_every_allowed_format_becomes_rgb_with_its_colours(form):
    options = {"lossless": True} if form == "WEBP" else {}
    image = open_image(saved(quarters(), form, **options), max_pixels=PIXELS)
    assert (image.mode, image.size) == ("RGB", (30, 20))
    assert np.abs(values(image)[10, 5].astype(int) - (255, 0, 0)).max() <= 60
    assert np.abs(values(image)[10, 25].astype(int) - (0, 0, 255)).max() <= 60


def test_bytes_files_and_paths_give_the_same_picture(picture, tmp_path):
    data = picture(3)
    (tmp_path / "a.png").write_bytes(data)
    pictures = [open_image(source, max_pixels=PIXELS) for source in (data, io.BytesIO(data), tmp_path / "a.png")]
    assert values(pictures[0]).tobytes() == values(pictures[1]).tobytes() == values(pictures[2]).tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright_whichever_way_the_camera_was_held(orientation):
    upright = quarters()
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that a camera's orientation undoes
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(stored, "PNG", exif=exif)
    assert values(open_image(data, max_pixels=PIXELS)).tobytes() == values(upright).tobytes()
    assert check_image(data, max_pixels=PIXELS) == (30, 20)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of the broken part
def test_broken_exif_data_do_not_cost_the_picture():
    data = saved(quarters(), "PNG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xffbroken")
    assert open_image(data, max_pixels=PIXELS).size == (30, 20)


def test_transparent_parts_become_white():
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    image.putpixel((0, 0), (255, 0, 0, 255))
    opened = values(open_image(saved(image, "PNG"), max_pixels=PIXELS))
    assert opened[0, 0].tolist() == [255, 0, 0]
    assert opened[3, 3].tolist() == [255, 255, 255]


def test_a_palette_with_a_transparent_colour_is_laid_on_white():
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), 1)
    opened = values(open_image(saved(image, "PNG", transparency=0), max_pixels=PIXELS))
    assert opened[0, 0].tolist() == [200, 100, 50]
    assert opened[1, 1].tolist() == [255, 255, 255]


def test_sixteen_bits_keep_their_light():
    ramp = np.array([[0, 257, 25700, 65535]], dtype=np.uint16)
    opened = values(open_image(saved(Image.fromarray(ramp), "PNG"), max_pixels=PIXELS))
    assert opened[0, :, 0].tolist() == [0, 1, 100, 255]


@pytest.mark.parametrize(("scale", "expected"), [(1.0, [0, 128, 255]), (255.0, [0, 128, 255])])
def test_float_images_are_read_as_shares_or_as_bytes(scale, expected):
    image = Image.fromarray((np.array([[0, 0.5, 1.0]]) * scale).astype(np.float32))
    assert values(open_image(saved(image, "TIFF"), max_pixels=PIXELS))[0, :, 0].tolist() == expected


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "RGBA", "I;16"])
def test_every_common_mode_becomes_rgb(mode):
    form = "TIFF" if mode == "CMYK" else "PNG"
    image = (
        quarters().convert("L").convert(mode)
        if mode == "LA"
        else quarters().convert("I").convert(mode)
        if mode == "I;16"
        else quarters().convert(mode)
    )
    assert open_image(saved(image, form), max_pixels=PIXELS).mode == "RGB"


def test_the_first_frame_stands_for_an_animation():
    frames = [Image.new("RGB", (5, 5), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert values(open_image(data, max_pixels=PIXELS))[2, 2].tolist() == [255, 0, 0]


@pytest.mark.parametrize("opener", [open_image, check_image])
def test_a_header_of_50000_by_50000_pixels_is_refused_before_decoding(opener):
    with pytest.raises(TooLargeError, match=r"50000 x 50000 = 2500000000 pixels; at most 1000000") as caught:
        opener(png_header(50_000, 50_000), max_pixels=PIXELS)
    assert caught.value.status == 413


def test_the_limit_of_pixels_is_ours_and_not_the_librarys():
    """Pillow refuses above 179 million pixels by itself; a setting above that must hold."""
    with pytest.raises(ImageError, match="damaged"):  # it got as far as decoding the few bytes that are there
        check_image(png_header(100_000, 2_000), max_pixels=10**9)


@pytest.mark.parametrize("opener", [open_image, check_image])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_a_truncated_picture_is_an_image_error(picture, form, opener):
    data = picture(1, size=(64, 64), form=form)
    with pytest.raises(ImageError, match="Send JPEG, PNG"):
        opener(data[: len(data) // 2], max_pixels=PIXELS)


@pytest.mark.parametrize("data", [b"", b"text", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"<svg/>"])
def test_what_is_no_image_is_an_image_error_that_names_the_formats(data):
    with pytest.raises(ImageError, match="not an image") as caught:
        open_image(data, max_pixels=PIXELS)
    assert "0x" not in caught.value.detail


def test_a_picture_cut_short_is_found_by_the_fast_check_too(picture):
    data = picture(1, size=(640, 480), form="JPEG")
    assert check_image(data, max_pixels=PIXELS) == (640, 480)
    with pytest.raises(ImageError):
        check_image(data[:-2000], max_pixels=PIXELS)


def how(resize: str, *, height: int = 40, width: int = 40) -> Preprocessing:
    return Preprocessing(height=height, width=width, resize=resize, mean=(0.2, 0.4, 0.6), std=GREY)


def test_squash_shows_all_of_the_picture_without_a_border():
    prepared = prepare_image(quarters(), how("squash"))
    assert prepared.shape == (40, 40, 3)
    assert prepared.dtype == np.uint8
    assert prepared[30, 2].tolist() == [255, 0, 0]
    assert prepared[30, 37].tolist() == [0, 0, 255]
    assert prepared[2, 20].tolist() == [0, 255, 0]


def test_letterbox_keeps_the_shape_and_fills_up_with_the_mean_colour():
    prepared = prepare_image(quarters(), how("letterbox"))
    assert placement((30, 20), how("letterbox")).top == 6  # 40 x 27 pixels in the middle of 40 x 40
    assert prepared[0, 20].tolist() == prepared[39, 0].tolist() == [51, 102, 153]
    assert prepared[20, 2].tolist() == [255, 0, 0]
    assert prepared[20, 37].tolist() == [0, 0, 255]


def test_crop_keeps_the_centre_in_its_shape():
    prepared = prepare_image(quarters(), how("crop"))
    left_edge = values(quarters().resize((60, 40), Image.Resampling.BICUBIC))[:, 10:50]
    assert np.abs(prepared.astype(int) - left_edge.astype(int)).max() <= 2
    assert placement((30, 20), how("crop")).left == -10


@pytest.mark.parametrize("resize", ["squash", "letterbox", "crop"])
@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (33, 32), (40, 40)])
def test_every_shape_fits_every_input(resize, size):
    prepared = prepare_image(Image.new("RGB", size, (9, 9, 9)), how(resize, height=24, width=32))
    assert prepared.shape == (24, 32, 3)
    assert (prepared == 9).any()


def test_a_picture_of_the_right_size_is_left_as_it_is(picture):
    image = open_image(picture(5, size=(40, 40)), max_pixels=PIXELS)
    for resize in ("squash", "letterbox", "crop"):
        assert prepare_image(image, how(resize)).tobytes() == values(image).tobytes()


def test_other_modes_are_converted_before_resizing():
    assert prepare_image(Image.new("L", (3, 3), 7), how("squash"))[0, 0].tolist() == [7, 7, 7]
    assert to_rgb(quarters()).mode == "RGB"
