"""Every image decoded and resized once: one memory-mapped array on the disk, shared by all networks of an input size.

It knows nothing of torch or networks. The file's name is a hash of all that decides its content, so it is never stale;
it appears by a rename, so two processes that build the same one do not meet.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backend.config import available_cores
from backend.contracts import Dataset, ImageItem, Preprocessing, Progress, RunControl
from backend.data.images import prepare_image
from backend.data.pages import release_pages
from backend.data.pictures import open_picture
from backend.errors import ImageError, InputError, TooLargeError
from backend.storage.cache_space import mark_used, prune
from backend.storage.files import TEMPORARY_PREFIX, free_bytes

FOLDER = "decoded"
LAYOUT_VERSION = 1  # raise it when `prepare_image` gives other pixels
CHUNK = 64
SPARE_BYTES = 64 * 2**20

Pixels = npt.NDArray[np.uint8]


def decoded_images(
    dataset: Dataset,
    preprocessing: Preprocessing,
    *,
    cache_dir: Path,
    limit_mb: int | None = None,
    control: RunControl | None = None,
) -> Pixels:
    """Return all images as the networks see them before normalisation: read-only uint8 [N, H, W, 3], memory-mapped.

    After a new array was made, `cache_dir` is brought under `limit_mb` MiB again, where there is a limit. Whoever
    copies many rows calls `pages.release_pages` now and then, or all of the file becomes resident.

    Raises:
        ImageError: an image has vanished or was damaged since the import.
        TooLargeError: the disk has no room for the array.
        JobCancelled: somebody asked to stop; nothing is left behind.
    """

    def build(path: Path, shape: tuple[int, ...]) -> None:
        _build(path, dataset, preprocessing, shape=shape, control=control or RunControl())

    return _kept(dataset, preprocessing, build, cache_dir=cache_dir, limit_mb=limit_mb)


def keep_decoded(
    dataset: Dataset,
    preprocessing: Preprocessing,
    parts: Callable[[], Iterable[Pixels]],
    *,
    cache_dir: Path,
    limit_mb: int | None = None,
) -> Pixels:
    """The same array where the pictures themselves are elsewhere, from consecutive parts of it [n, H, W, 3].

    The parts are asked for only where the array is not on this disk yet.

    Raises:
        TooLargeError: the disk has no room for the array.
        ValueError: the parts do not add up to one row a picture.
    """

    def build(path: Path, shape: tuple[int, ...]) -> None:
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        reached = 0
        for part in parts():
            array[reached : reached + len(part)] = part
            reached += len(part)
            release_pages(array)
        if reached != len(array):
            raise ValueError(f"{reached} of {len(array)} decoded images came")
        array.flush()

    return _kept(dataset, preprocessing, build, cache_dir=cache_dir, limit_mb=limit_mb)


def _kept(
    dataset: Dataset,
    preprocessing: Preprocessing,
    build: Callable[[Path, tuple[int, ...]], None],
    *,
    cache_dir: Path,
    limit_mb: int | None,
) -> Pixels:
    """The array on the disk; built first where it is not there."""
    shape = (len(dataset.items), preprocessing.height, preprocessing.width, 3)
    path = cache_dir / FOLDER / f"{cache_key(dataset, preprocessing)}.npy"
    stored = _stored(path, shape)
    if stored is not None:
        mark_used(path)
        return stored
    path.parent.mkdir(parents=True, exist_ok=True)
    _require_room(path.parent, shape)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(5)}-{path.name}")
    try:
        build(temporary, shape)
        with suppress(PermissionError):  # Windows: another process has the same array open at this place
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if limit_mb is not None:
        prune(cache_dir, limit_mb=limit_mb)
    built: Pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    return built


def cache_key(dataset: Dataset, preprocessing: Preprocessing) -> str:
    """A hash of the pictures in their order, and of how they are prepared."""
    mean = preprocessing.mean if preprocessing.resize in {"letterbox", "pad"} else None  # the colour of the border
    how = (preprocessing.height, preprocessing.width, preprocessing.resize, preprocessing.interpolation, mean)
    digest = hashlib.sha256(repr((LAYOUT_VERSION, how)).encode())
    for item in dataset.items:
        digest.update(item.digest.encode())
    return digest.hexdigest()[:32]


def _stored(path: Path, shape: tuple[int, ...]) -> Pixels | None:
    try:
        array: Pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):  # absent, or cut short by a full disk: built anew
        return None
    return array if array.shape == shape and array.dtype == np.uint8 else None


def _build(
    path: Path, dataset: Dataset, preprocessing: Preprocessing, *, shape: tuple[int, ...], control: RunControl
) -> None:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)

    def fill(place: int) -> None:
        array[place] = _decode(dataset.root, dataset.items[place], preprocessing)

    # Pillow decodes and resizes outside Python's lock, so threads share the work without copying pixels.
    with ThreadPoolExecutor(max_workers=available_cores(), thread_name_prefix="decode") as pool:
        for chunk in _chunks(len(dataset.items)):
            control.check()
            list(pool.map(fill, chunk))
            release_pages(array)  # written pages stay in the system's cache, not in this process
            message = f"Decoded {chunk[-1] + 1} of {len(dataset.items)} images"
            control.report(Progress(stage="preparing", message=message))
    array.flush()


def _decode(root: Path, item: ImageItem, preprocessing: Preprocessing) -> Pixels:
    try:
        # The size was checked on import against the settings of that day; it has not changed since.
        image = open_picture(root, item.path, max_pixels=item.width * item.height)
    except InputError as error:
        raise ImageError(
            f"Image '{item.image_id}' of class '{item.label}' can no longer be read: {error.detail} "
            "Import the dataset again."
        ) from error
    return prepare_image(image, preprocessing)


def _chunks(count: int) -> Iterator[list[int]]:
    places = iter(range(count))
    while chunk := list(islice(places, CHUNK)):
        yield chunk


def _require_room(folder: Path, shape: tuple[int, ...]) -> None:
    needed = int(np.prod(shape, dtype=np.int64)) + SPARE_BYTES
    free = free_bytes(folder)
    if needed > free:
        raise TooLargeError(
            f"The decoded images need {needed // 2**20} MiB on the disk, which has {free // 2**20} MiB free. "
            "Free some space, or train on fewer images or classes."
        )
