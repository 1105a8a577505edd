"""Datasets: from an archive or a folder of images to checked, hashed items. No torch, no HTTP, no SQL.

    from backend.data import open_dataset
    dataset = open_dataset("pictures.zip")
    dataset.info.class_counts

`transforms` (torch) and `cache` are imported by name where they are needed.
"""

from __future__ import annotations

from pathlib import Path

from backend.config import Settings
from backend.contracts import Dataset, RunControl
from backend.data.archive import Archive, ArchiveLimits, open_archive
from backend.data.augmentation_catalogue import AUGMENTATION_CATALOGUE, default_augmentations
from backend.data.folder import Folder
from backend.data.images import IMAGE_SUFFIXES, open_image, prepare_image
from backend.data.manifest import INFO_FILE, load_dataset, restrict_classes, save_dataset
from backend.data.names import plain_stem
from backend.data.scan import ImportPlan, import_archive, import_members
from backend.data.split import stratified_split

__all__ = [
    "AUGMENTATION_CATALOGUE",
    "IMAGE_SUFFIXES",
    "Archive",
    "ArchiveLimits",
    "default_augmentations",
    "import_archive",
    "load_dataset",
    "open_archive",
    "open_dataset",
    "open_image",
    "prepare_image",
    "restrict_classes",
    "save_dataset",
    "stratified_split",
]


def open_dataset(path: Path | str, *, into: Path | str | None = None, settings: Settings | None = None) -> Dataset:
    """Open a dataset's folder, or import a ZIP, a TAR or a folder of pictures as a new dataset.

    Args:
        path: a folder that holds `dataset.json` is opened as it lies; anything else is imported.
        into: where a new dataset goes; the data folder of the settings where not given.
        settings: limits and the data folder; from the environment where not given.

    Raises:
        ArchiveError, DatasetError, TooLargeError: as `import_archive`.
    """
    source = Path(path).expanduser()
    if (source / INFO_FILE).is_file():
        return load_dataset(source)
    chosen = settings or Settings()
    target = Path(into).expanduser() if into is not None else chosen.datasets_dir
    if source.is_dir():
        folder = Folder(source, limits=ArchiveLimits.from_settings(chosen))
        plan = ImportPlan(chosen, RunControl())
        return import_members(folder, into=target, name=source.resolve().name, plan=plan)
    return import_archive(source, into=target, name=plain_stem(source.name), settings=chosen)
