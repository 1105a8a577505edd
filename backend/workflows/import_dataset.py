"""An upload becomes a dataset: safe members, counted classes, a row in the catalogue."""

from __future__ import annotations

import shutil
from typing import BinaryIO

from backend.config import Settings
from backend.contracts import Dataset, RunControl
from backend.data.scan import import_archive
from backend.storage.catalog import Catalog


def import_dataset(
    upload: BinaryIO, *, name: str, settings: Settings, catalog: Catalog, control: RunControl | None = None
) -> Dataset:
    """Store a ZIP as a new dataset.

    Raises:
        ArchiveError, TooLargeError: the ZIP cannot be read, or is not safe to read.
        DatasetError: nothing in it can be learned from.
    """
    dataset = import_archive(upload, into=settings.datasets_dir, name=name, settings=settings, control=control)
    try:
        catalog.add_dataset(dataset.info)
    except BaseException:
        # a folder without a row would be found by nobody
        shutil.rmtree(dataset.root, ignore_errors=True)
        raise
    return dataset
