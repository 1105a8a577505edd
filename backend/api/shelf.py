"""The datasets that are open now: their items by id, and their images as thumbnails.

Datasets never change, so what was read once stays right; a few are kept, the longest unused one goes first.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from backend.contracts import Dataset, ImageItem
from backend.data.images import open_image
from backend.data.manifest import load_dataset, require_stored
from backend.errors import NotFoundError
from backend.storage.catalog import Catalog

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
            return self.by_id[image_id]
        except KeyError:
            dataset_id = self.dataset.info.dataset_id
            raise NotFoundError(
                f"Dataset '{dataset_id}' has no image '{image_id}'; "
                f"GET /api/cv/datasets/{dataset_id}/images lists those there are."
            ) from None

    def samples(self) -> dict[str, list[ImageItem]]:
        """The first few images of each class."""
        found: dict[str, list[ImageItem]] = {name: [] for name in self.dataset.class_names}
        for item in self.dataset.items:
            for label in item.labels or (item.label,):
                if label and len(found[label]) < SAMPLES_PER_CLASS:
                    found[label].append(item)
        return found


class DatasetShelf:
    """Opens datasets and keeps the last few; thread-safe."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self._folder = folder
        self._catalog = catalog
        self._lock = threading.Lock()
        self._open: OrderedDict[str, OpenDataset] = OrderedDict()

    def get(self, dataset_id: str) -> OpenDataset:
        """Open a dataset.

        Raises:
            NotFoundError: no such dataset, or its files are gone.
        """
        self._catalog.dataset(dataset_id)  # it may have been deleted since it was opened
        folder = require_stored(self._folder, dataset_id)
        with self._lock:
            if dataset_id in self._open:
                self._open.move_to_end(dataset_id)
                return self._open[dataset_id]
        dataset = load_dataset(folder)
        opened = OpenDataset(dataset, {item.image_id: item for item in dataset.items})
        with self._lock:
            self._open[dataset_id] = opened
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
        return opened


def thumbnail(path: Path, *, size: int, max_pixels: int) -> bytes:
    """Return a JPEG of the picture whose longer side is at most `size` pixels; it is never enlarged.

    Raises:
        NotFoundError: the file is gone.
    """
    if not path.is_file():
        raise NotFoundError("The image's file is gone from the data folder; delete the dataset and upload it again.")
    image = open_image(path, max_pixels=max_pixels)
    image.thumbnail((size, size))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
