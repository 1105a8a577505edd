"""A dataset's folder, and its versions in it. Written once, read often, never changed in place.

```
<dataset_id>/dataset.json items.npz images/             version 1, as it came
<dataset_id>/versions/<n>/dataset.json items.npz        a later one, with all its items
                          excluded.npz images/          what it leaves out; the pictures that came with it
```
Older datasets have `.jsonl` for `.npz`, a line for each item. A version's folder appears by one rename. Items name
their picture relative to the dataset's folder, so that no picture lies there twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from backend.contracts import Dataset, DatasetInfo, ImageItem, RunControl
from backend.data.item_table import DamagedTable, ItemColumns, read_items, read_lines, write_items
from backend.errors import DatasetError, NotFoundError, RecipeError
from backend.registry import nearest
from backend.storage.files import atomic_file, atomic_write
from backend.storage.folders import LOCAL, Folders

INFO_FILE = "dataset.json"
ITEMS_FILE = "items.npz"
EXCLUDED_FILE = "excluded.npz"
LINES_SUFFIX = ".jsonl"
VERSIONS_FOLDER = "versions"


def save_dataset(dataset: Dataset, folder: Path) -> None:
    """Write a version's files into `folder`, the info last: where it stands, the version is whole."""
    if dataset.excluded:
        _save_items(dataset.excluded, folder / EXCLUDED_FILE)
    save_items(dataset.items, folder)
    save_info(dataset.info, folder)


def save_items(items: Sequence[ImageItem] | ItemColumns, folder: Path) -> None:
    """Write a version's items, which may be columns; it is not whole before `save_info`."""
    _save_items(items, folder / ITEMS_FILE)


def save_info(info: DatasetInfo, folder: Path) -> None:
    """Write what makes a version whole; all else of it is there by then."""
    atomic_write(folder / INFO_FILE, info.model_dump_json(indent=2) + "\n")


def _save_items(items: Sequence[ImageItem] | ItemColumns, path: Path) -> None:
    with atomic_file(path) as temporary:
        write_items(items, temporary)
    path.with_suffix(LINES_SUFFIX).unlink(missing_ok=True)  # of an older dataset, whose facts were made up for


def version_folder(root: Path, version: int) -> Path:
    """Where a version's own files lie: those of the first beside the images, those of later ones below `versions`."""
    return root if version == 1 else root / VERSIONS_FOLDER / str(version)


def stored_versions(root: Path) -> list[int]:
    """The versions that lie in a dataset's folder, oldest first."""
    later = [
        int(path.name)
        for path in (root / VERSIONS_FOLDER).glob("*")
        if path.name.isdecimal() and (path / INFO_FILE).is_file()
    ]
    return [1, *sorted(later)] if (root / INFO_FILE).is_file() else sorted(later)


def load_dataset(folder: Path, *, version: int | None = None) -> Dataset:
    """Read a version of a dataset from its folder; None: the newest that lies there.

    Raises:
        NotFoundError: the folder holds no dataset, or not this version.
        DatasetError: the files are damaged, or do not belong together.
    """
    own = version_folder(folder, max(stored_versions(folder), default=1) if version is None else version)
    try:
        info = DatasetInfo.model_validate_json((own / INFO_FILE).read_bytes())
        items = _read_items(own / ITEMS_FILE)
        excluded = _read_items(own / EXCLUDED_FILE) if info.excluded_images else ()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(_nothing_there(folder, version)) from error
    except (ValidationError, DamagedTable) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise DatasetError(f"The dataset in '{folder}' is damaged ({why}). Delete it and import it again.") from error
    if len(items) != info.total_images or len(excluded) != info.excluded_images:
        raise DatasetError(
            f"The dataset in '{folder}' is damaged: it lists {len(items) + len(excluded)} of "
            f"{info.total_images + info.excluded_images} images. Delete it and import it again."
        )
    return Dataset(info=info, root=folder, items=items, excluded=excluded)


def _read_items(path: Path) -> tuple[ImageItem, ...]:
    try:
        return read_items(path)
    except FileNotFoundError:
        return read_lines(path.with_suffix(LINES_SUFFIX))


def _nothing_there(folder: Path, version: int | None) -> str:
    there = stored_versions(folder)
    if version is None or not there:
        return f"There is no dataset in '{folder}': '{INFO_FILE}' is missing. Import one first."
    return f"The dataset in '{folder}' has no version {version}. It has: {', '.join(map(str, there))}."


def require_stored(
    datasets_dir: Path,
    dataset_id: str,
    *,
    folders: Folders = LOCAL,
    images: bool = True,
    control: RunControl | None = None,
) -> Path:
    """Return the folder of a dataset that the catalogue lists; what another machine made is fetched first.

    Without `images` those may be missing: `Folders.fetch_file` brings one.

    Raises:
        NotFoundError: somebody took it away.
        UnavailableError: as `Folders.fetch`.
    """
    folder = folders.fetch(datasets_dir / dataset_id, bulk=images, control=control)
    if not (folder / INFO_FILE).is_file():
        raise NotFoundError(
            f"The files of dataset '{dataset_id}' are gone from the data folder; delete the dataset and upload it "
            "again."
        )
    return folder


def require_classes(info: DatasetInfo, classes: Sequence[str]) -> None:
    """Raise where a choice of classes does not fit the dataset.

    Raises:
        RecipeError: a class is unknown (the nearest is named), or fewer than two are chosen.
    """
    known = info.class_names
    for name in classes:
        if name not in info.class_counts:
            raise RecipeError(
                f"The dataset '{info.name}' has no class '{name}'.{nearest(name, known)} It has: {_listed(known)}."
            )
    if len(set(classes)) < 2:
        raise RecipeError(f"{len(set(classes))} class was chosen ({_listed(sorted(set(classes)))}); choose at least 2.")


def restrict_classes(dataset: Dataset, classes: Sequence[str]) -> Dataset:
    """Return the dataset reduced to some of its classes; the order given here does not matter.

    A multi-label one keeps all its images: those that carry none of the labels show what their absence looks like.

    Raises:
        RecipeError: as `require_classes`.
    """
    require_classes(dataset.info, classes)
    wanted = set(classes)
    if dataset.info.task == "multilabel":
        return dataset.with_items(_with_labels(item, wanted) for item in dataset.items)
    return dataset.with_items(item for item in dataset.items if item.label in wanted)


def _with_labels(item: ImageItem, wanted: set[str]) -> ImageItem:
    """The image with some of its labels; it is still divided by all that it came with."""
    kept = tuple(label for label in item.labels if label in wanted)
    came_with = item.labels if item.first_labels is None else item.first_labels
    return item.model_copy(update={"labels": kept, "label": kept[0] if kept else "", "first_labels": came_with})


def _listed(names: Sequence[str], *, most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
