"""Where the bytes of a dataset's picture lie, and the only way to them: in a file of their own, or within a pack.

An item's `path` names either `images/<digest>.jpg`, as imports before packs wrote it, or a stretch of a pack,
`images/00012.pack/4096+1048/<digest>.jpg`: 1,048 bytes from the 4,096th of `images/00012.pack`. Making a file takes 0.1
to 0.6 ms, ten times what decoding a picture of 32 x 32 pixels does. It knows nothing of what the bytes show.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from PIL import Image

from backend.data.images import open_image
from backend.errors import ImageError

IMAGES_FOLDER = "images"
PACK_SUFFIX = ".pack"


class Stretch(NamedTuple):
    """Part of a file: `size` bytes from `start`; the whole of it where `size` is None."""

    file: str
    start: int = 0
    size: int | None = None


def packed_path(pack: str, *, start: int, size: int, name: str) -> str:
    """The path of a picture within a pack; `name` is kept at its end, for people and for its suffix."""
    return f"{pack}/{start}+{size}/{name}"


def where(path: str) -> Stretch:
    """The file that holds a picture, relative to the dataset's folder, and which part of it."""
    head, mark, tail = path.partition(f"{PACK_SUFFIX}/")
    place = tail.split("/", 1)[0]
    start, plus, size = place.partition("+")
    if not (mark and plus and start.isdecimal() and size.isdecimal()):
        return Stretch(path)
    return Stretch(head + PACK_SUFFIX, int(start), int(size))


def read_picture(root: Path, path: str) -> bytes:
    """The bytes of a picture, by its item's `path`.

    Raises:
        ImageError: they are not there, or not all of them.
    """
    place = where(path)
    try:
        with (root / place.file).open("rb") as file:
            if place.size is None:
                return file.read()
            file.seek(place.start)
            data = file.read(place.size)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError(f"There is no file '{Path(place.file).name}'; it was moved or deleted.") from error
    except OSError as error:
        raise ImageError(f"'{Path(place.file).name}' cannot be read: {error.strerror or error}.") from error
    if len(data) != place.size:
        raise ImageError(f"'{Path(place.file).name}' ends too early; it was damaged or cut short.")
    return data


def open_picture(root: Path, path: str, *, max_pixels: int) -> Image.Image:
    """A picture as upright RGB, by its item's `path`.

    Raises:
        ImageError: it is not there any more, or was damaged.
        TooLargeError: as `open_image`.
    """
    return open_image(read_picture(root, path), max_pixels=max_pixels)
