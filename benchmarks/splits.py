"""The same images to every side: a dataset's split written as folders of files that any library reads.

Which images are the test's is decided by the product's own split, for our side reads its test images from a ZIP alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from backend.config import Settings
from backend.contracts import Dataset, Split
from backend.data import open_dataset, stratified_split
from backend.data.pictures import read_picture
from benchmarks.parts import ROOT

DATA = ROOT.parent / "shared" / "data"


@dataclass(frozen=True, kw_only=True)
class Folders:
    """`train` and `test` hold one folder a class; `train` has the images that ours trains and chooses on."""

    train: Path
    test: Path


def find_data(name: str) -> Path:
    """A ZIP beside the repository, or among the bundled samples where the real ones are absent."""
    for folder in (DATA, ROOT / "sample_datasets"):
        if (folder / name).exists():
            return folder / name
    return ROOT / "sample_datasets" / "digits.zip"


def divide(archive: Path, into: Path, *, test_size: float, seed: int) -> Folders:
    """Write the files of a split; done before any clock starts."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), offline=True, mlflow_tracking_uri="off")
        dataset = open_dataset(archive, settings=settings)
        return write_split(dataset, stratified_split(dataset, test_size=test_size, seed=seed), into)


def write_split(dataset: Dataset, split: Split, into: Path) -> Folders:
    """Copy the images as they are into `train/<class>/` and `test/<class>/`."""
    folders = Folders(train=into / "train", test=into / "test")
    _copy(dataset, split.train + split.val, folders.train)
    _copy(dataset, split.test, folders.test)
    return folders


def _copy(dataset: Dataset, places: Iterable[int], target: Path) -> None:
    for place in places:
        item = dataset.items[place]
        folder = target / item.label
        folder.mkdir(parents=True, exist_ok=True)
        target_file = folder / f"{place:06}{Path(item.path).suffix}"
        target_file.write_bytes(read_picture(dataset.root, item.path))


def count(folder: Path) -> int:
    """Images in the class folders."""
    return sum(1 for path in folder.glob("*/*") if path.is_file())
