"""Bytes in, an upright RGB picture out, prepared as a network wants it. Training and serving both come through here.

It knows nothing of datasets and torch. Nothing is decoded before the header's pixel count has been checked.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from backend.contracts import Preprocessing
from backend.errors import ImageError, TooLargeError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp", ".avif"}
    | {".ppm", ".pgm", ".pbm", ".pnm"}
)
# Only these decoders are asked. Pillow has more, among them EPS, which starts Ghostscript. "JPEG" opens MPO too.
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "AVIF", "PPM")
ALLOWED = "JPEG, PNG, BMP, GIF, TIFF, WebP, AVIF or PPM"
NEXT_STEP = f" Send {ALLOWED}."
# What Pillow's decoders are known to raise on damaged files, beside their own exceptions.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
ORIENTATION_TAG = 0x0112  # Exif 2.32, 4.6.4
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def open_image(source: bytes | BinaryIO | Path, *, max_pixels: int) -> Image.Image:
    """Return the picture as upright RGB: EXIF rotation applied, alpha laid on white, the first frame of a GIF.

    Raises:
        ImageError: not a readable image of an allowed format.
        TooLargeError: the header declares more than `max_pixels` pixels; nothing was decoded.
    """
    try:
        with _open(source, max_pixels=max_pixels) as image:
            image.load()
            return _upright(to_rgb(image), _orientation(image))
    except DECODER_ERRORS as error:
        raise _unreadable(error) from error


@dataclass(frozen=True)
class Examined:
    """A sound picture. `width` and `height` are as people see it, in pixels; `format` and `mode` as Pillow calls the
    file; `picture` is upright RGB, a large JPEG at a reduced size.
    """

    width: int
    height: int
    format: str
    mode: str
    picture: Image.Image


def _at_once(pixels: int) -> AbstractContextManager[Any]:
    del pixels
    return nullcontext()


def examine_image(
    source: bytes | BinaryIO | Path,
    *,
    max_pixels: int,
    side: int = 1,
    while_decoding: Callable[[int], AbstractContextManager[Any]] = _at_once,
) -> Examined:
    """Decode the whole picture once, to see that it is sound and to look at it.

    A JPEG is decoded at half, a quarter or an eighth of its size, as long as its longer side keeps `side` pixels: the
    same bytes are read at a fraction of the time. `while_decoding` is entered with the number of pixels.

    Raises:
        ImageError: not a readable image of an allowed format.
        TooLargeError: the header declares more than `max_pixels` pixels; nothing was decoded.
    """
    try:
        with _open(source, max_pixels=max_pixels) as image, while_decoding(image.width * image.height):
            width, height, mode = *image.size, image.mode
            scale = max(1, max(width, height) // side)
            image.draft(None, (max(1, width // scale), max(1, height // scale)))  # a no-op for anything but JPEG
            image.load()
            turn = _orientation(image)
            picture = _upright(to_rgb(image), turn)
            size = (height, width) if turn >= 5 else (width, height)  # 5..8 lie on their side
            return Examined(*size, format=str(image.format), mode=mode, picture=picture)
    except DECODER_ERRORS as error:
        raise _unreadable(error) from error


def check_image(source: bytes | BinaryIO | Path, *, max_pixels: int) -> tuple[int, int]:
    """Decode the whole picture to see that it is sound; return width and height as people see it, in pixels.

    Raises:
        ImageError, TooLargeError: as `examine_image`.
    """
    found = examine_image(source, max_pixels=max_pixels)
    return found.width, found.height


def header_pixels(data: bytes) -> int:
    """How many pixels a picture declares to have, before anything is decoded; 0 for what is none."""
    try:
        with _open(io.BytesIO(data), max_pixels=sys.maxsize) as image:
            return image.width * image.height
    except DECODER_ERRORS:
        return 0


def to_rgb(image: Image.Image) -> Image.Image:
    """Return the picture as 8-bit RGB. 16-bit values are divided by 257, and floats taken as 0..1 or 0..255.

    The scale never depends on a picture's contrast, so that equal light gives equal values in every picture.
    """
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


@dataclass(frozen=True)
class Placement:
    """Where the whole picture lies in the network's input, in input pixels; a crop begins left of or above 0."""

    left: int
    top: int
    width: int
    height: int


def placement(size: tuple[int, int], preprocessing: Preprocessing) -> Placement:
    """Return where a picture of `size` (width, height) lies; whoever draws on the picture undoes it with this."""
    width, height = preprocessing.width, preprocessing.height
    if preprocessing.resize == "squash":
        return Placement(0, 0, width, height)
    ratios = (width / size[0], height / size[1])
    scale = max(ratios) if preprocessing.resize == "crop" else min(ratios)
    scale = min(1.0, scale) if preprocessing.resize == "pad" else scale
    scaled = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    return Placement((width - scaled[0]) // 2, (height - scaled[1]) // 2, *scaled)


def prepare_image(image: Image.Image, preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """Return the network's input before normalisation: uint8 [height, width, 3], RGB."""
    picture = to_rgb(image)
    place = placement(picture.size, preprocessing)
    # A crop is resized from the part that stays: a very long picture would otherwise be scaled up as a whole.
    box = _kept_box(picture.size, place, preprocessing) if preprocessing.resize == "crop" else None
    target = (min(place.width, preprocessing.width), min(place.height, preprocessing.height))
    same = box is None and picture.size == target
    scaled = picture if same else picture.resize(target, RESAMPLING[preprocessing.interpolation], box=box)
    if scaled.size != (preprocessing.width, preprocessing.height):
        fill = tuple(round(255 * channel) for channel in preprocessing.mean)
        canvas = Image.new("RGB", (preprocessing.width, preprocessing.height), fill)
        canvas.paste(scaled, (place.left, place.top))
        scaled = canvas
    return np.array(scaled, dtype=np.uint8)


def _kept_box(
    size: tuple[int, int], place: Placement, preprocessing: Preprocessing
) -> tuple[float, float, float, float]:
    """The part of the picture that a crop keeps: left, top, right, bottom in the picture's own pixels."""
    across, down = size[0] / place.width, size[1] / place.height
    left, top = max(0, -place.left) * across, max(0, -place.top) * down
    width, height = min(place.width, preprocessing.width) * across, min(place.height, preprocessing.height) * down
    return left, top, min(left + width, size[0]), min(top + height, size[1])


def _open(source: bytes | BinaryIO | Path, *, max_pixels: int) -> Image.Image:
    # Pillow's own limit is one number for the whole process and stands below ours; ours is checked right here, before
    # anything is decoded.
    Image.MAX_IMAGE_PIXELS = None
    image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)
    width, height = image.size
    if width * height > max_pixels:
        image.close()
        raise TooLargeError(
            f"The image has {width} x {height} = {width * height} pixels; at most {max_pixels} are allowed. "
            "Scale it down first."
        )
    return image


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1..8. Broken EXIF data counts as upright: the picture itself may be sound."""
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) and value in UPRIGHT else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _eight_bits(image: Image.Image) -> Image.Image:
    values: npt.NDArray[np.floating[Any]] = np.nan_to_num(np.asarray(image, dtype=np.float32))
    if image.mode != "F":
        values = values / 257
    elif values.max(initial=0) <= 1:
        values = values * 255
    return Image.fromarray(np.clip(np.round(values), 0, 255).astype(np.uint8))


def _unreadable(error: BaseException) -> ImageError:
    if isinstance(error, UnidentifiedImageError):  # its own text shows an address in memory
        return ImageError(f"This is not an image that can be read here.{NEXT_STEP}")
    if isinstance(error, FileNotFoundError):
        return ImageError(f"There is no file '{Path(str(error.filename)).name}'; it was moved or deleted.")
    cause = str(error).strip().rstrip(".") or type(error).__name__
    return ImageError(f"The image is damaged or cannot be read ({cause}).{NEXT_STEP}")
