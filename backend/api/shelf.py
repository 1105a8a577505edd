"""The datasets that are open now: their items by id, and their images as thumbnails.

Versions never change, so what was read once stays right; a few are kept, the longest unused one goes first.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from backend.contracts import Dataset, ImageItem
from backend.data.images import open_image
from backend.data.insights import labels_of
from backend.data.manifest import load_dataset, require_stored
from backend.data.pictures import read_picture, where
from backend.errors import NotFoundError
from backend.storage.folders import LOCAL, Folders
from backend.storage.version_log import VersionLog

MOST_OPEN = 4
SAMPLES_PER_CLASS = 8
JPEG_QUALITY = 85


@dataclass(frozen=True)
class OpenDataset:
    """A dataset with its items at hand."""

    dataset: Dataset
    by_id: dict[str, ImageItem]

    def item(self, image_id: str) -> ImageItem:
        """One image.

        Raises:
            NotFoundError: no such image in this dataset.
        """
        try:
            return self.by_id[image_id]  # excluded ones too: whoever takes one back wants to see it
        except KeyError:
            dataset_id = self.dataset.info.dataset_id
            raise NotFoundError(
                f"Dataset '{dataset_id}' has no image '{image_id}'; "
                f"GET /api/cv/datasets/{dataset_id}/images lists those there are."
            ) from None

    def samples(self) -> dict[str, list[ImageItem]]:
        """The first few images of each class."""
        return {name: self.by_label.get(name, [])[:SAMPLES_PER_CLASS] for name in self.dataset.class_names}

    @cached_property
    def by_label(self) -> dict[str, list[ImageItem]]:
        """The images that carry each label, in their order: a page of one class is asked for more than once."""
        found: dict[str, list[ImageItem]] = defaultdict(list)
        for item in self.dataset.items:
            for label in labels_of(item):
                found[label].append(item)
        return found


class DatasetShelf:
    """Opens datasets and keeps the last few; thread-safe."""

    def __init__(self, folder: Path, versions: VersionLog, *, folders: Folders = LOCAL) -> None:
        self._folder = folder
        self._folders = folders
        self._versions = versions
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, int], OpenDataset] = OrderedDict()

    def get(self, dataset_id: str, version: int | None = None) -> OpenDataset:
        """Open a version of a dataset; None: the newest, as the database says, whoever made it.

        Raises:
            NotFoundError: no such dataset or version, or its files are gone.
        """
        # asked each time: it may have been changed or deleted since it was opened, by another process too
        number = self._versions.describe(dataset_id, version).version
        folder = require_stored(self._folder, dataset_id, folders=self._folders, images=False)
        key = (dataset_id, number)
        with self._lock:
            if key in self._open:
                self._open.move_to_end(key)
                return self._open[key]
        return self.keep(load_dataset(folder, version=number))

    def keep(self, dataset: Dataset) -> OpenDataset:
        """Keep a version that somebody has read or made, for whoever asks next."""
        opened = OpenDataset(dataset, {item.image_id: item for item in (*dataset.items, *dataset.excluded)})
        with self._lock:
            self._open[dataset.info.dataset_id, dataset.info.version] = opened
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
        return opened

    def picture(self, opened: OpenDataset, image_id: str) -> bytes:
        """An image's bytes, fetched first where they are not on this machine.

        Raises:
            NotFoundError: no such image in this dataset, or its file is gone.
            UnavailableError: the object storage, which has it, does not answer.
        """
        root, path = opened.dataset.root, opened.item(image_id).path
        if not self._folders.fetch_file(root, where(path).file).is_file():
            raise NotFoundError(
                "The image's file is gone from the data folder; delete the dataset and upload it again."
            )
        return read_picture(root, path)


def thumbnail(content: bytes, *, size: int, max_pixels: int) -> bytes:
    """Return a JPEG of the picture whose longer side is at most `size` pixels; it is never enlarged.

    Drawn anew from its pixels: nothing else that the file held, such as its comment or place, is in it.
    """
    image = open_image(content, max_pixels=max_pixels)
    image.thumbnail((size, size))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, comment=b"")  # without the word Pillow copies the file's own
    return buffer.getvalue()
