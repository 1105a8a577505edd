"""Small plain JPEGs decoded straight into a column of pictures, one below the other. It knows no datasets.

Of the 55 microseconds that Pillow takes to open, decode and convert a JPEG of 32 x 32 pixels, 30 go into objects for
the file, its tables and its tags. A plain one (baseline or progressive, three colours, nothing in it that turns it or
changes its meaning) needs its size alone: the decoder, the same one, writes into its place in the column. All others,
and whatever this cannot read, are `images.examine_image`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

Size = tuple[int, int]

START, END_OF_HEADERS = b"\xff\xd8", 0xDA
START_OF_SCAN, LONGEST_BEGINNING = b"\xff\xda", 4096
FRAMES = frozenset({0xC0, 0xC1, 0xC2})
# JFIF, quantisation and Huffman tables, restart interval, comment. Exif (turned pictures), Adobe (other colours) and
# MPO (several pictures) say more than is looked at here.
PLAIN = frozenset({0xE0, 0xDB, 0xC4, 0xDD, 0xFE})
LONGEST_HEADERS = 32
COLOURS, BITS = 3, 8


def plain_size(data: bytes) -> Size | None:
    """The width and height of a plain JPEG; None for anything else."""
    if not data.startswith(START):
        return None
    try:
        return _frame_size(data)
    except IndexError:
        return None


class Headers:
    """Sizes of plain JPEGs, many of which begin with the same bytes: those that one program wrote at one size."""

    def __init__(self) -> None:
        self._beginning = b"\0"
        self._size: Size | None = None

    def plain_size(self, data: bytes) -> Size | None:
        """As `plain_size`."""
        if data.startswith(self._beginning):
            return self._size
        size = plain_size(data)
        end = data.find(START_OF_SCAN)
        if size is not None and 0 < end < LONGEST_BEGINNING and plain_size(data[: end + len(START_OF_SCAN)]) == size:
            self._beginning, self._size = data[: end + len(START_OF_SCAN)], size
        return size


def _frame_size(data: bytes) -> Size | None:
    at, size = len(START), None
    for _ in range(LONGEST_HEADERS):
        marker = data[at + 1]
        if data[at] != 0xFF or marker == END_OF_HEADERS:
            return size if data[at] == 0xFF else None
        if marker in FRAMES and size is None:
            size = (data[at + 7] << 8 | data[at + 8], data[at + 5] << 8 | data[at + 6])
            # components numbered from 1 are YCbCr; those called "R", "G", "B" are not
            if (data[at + 4], data[at + 9], data[at + 10]) != (BITS, COLOURS, 1) or not all(size):
                return None
        elif marker not in PLAIN:
            return None
        at += 2 + (data[at + 2] << 8 | data[at + 3])
    return None


def decode_column(blobs: Sequence[bytes], size: Size) -> tuple[Image.Image, list[bool]]:
    """Decode plain JPEGs of one size into a column, RGB; the list says which of them are whole."""
    width, height = size
    column = Image.new("RGB", (width, height * len(blobs)))
    tops = range(0, column.height, height)
    return column, [
        _decoded(data, column, (0, top, width, top + height)) for top, data in zip(tops, blobs, strict=True)
    ]


def column_of(pictures: Sequence[Image.Image]) -> Image.Image:
    """RGB pictures of one size, one below the other."""
    if len(pictures) == 1:
        return pictures[0]
    width, height = pictures[0].size
    column = Image.new("RGB", (width, height * len(pictures)))
    for place, picture in enumerate(pictures):
        column.paste(picture, (0, place * height))
    return column


def _decoded(data: bytes, column: Image.Image, box: tuple[int, int, int, int]) -> bool:
    """As `ImageFile.load` does it: below 0 bytes taken means that the decoder saw the end; then its error counts."""
    decoder = Image.core.jpeg_decoder("RGB", "RGB", "")  # type: ignore[attr-defined]  # as Pillow's own plugin makes it
    try:
        decoder.setimage(column.im, box)
        taken, error = decoder.decode(data)
    except (OSError, ValueError, SystemError):
        return False
    finally:
        decoder.cleanup()
    return bool(taken < 0 and error == 0)
