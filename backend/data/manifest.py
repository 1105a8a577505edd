"""A dataset's folder: `dataset.json`, `items.jsonl` and `images/`. Written once, read often, never changed in place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from backend.contracts import Dataset, DatasetInfo, ImageItem
from backend.errors import DatasetError, NotFoundError, RecipeError
from backend.registry import nearest
from backend.storage.files import atomic_write

INFO_FILE = "dataset.json"
ITEMS_FILE = "items.jsonl"


def save_dataset(dataset: Dataset, folder: Path) -> None:
    """Write both files into `folder`, the info last: where it stands, the dataset is whole."""
    atomic_write(folder / ITEMS_FILE, "".join(item.model_dump_json() + "\n" for item in dataset.items))
    atomic_write(folder / INFO_FILE, dataset.info.model_dump_json(indent=2) + "\n")


def load_dataset(folder: Path) -> Dataset:
    """Read a dataset from its folder.

    Raises:
        NotFoundError: the folder holds no dataset.
        DatasetError: the files are damaged, or do not belong together.
    """
    try:
        info = DatasetInfo.model_validate_json((folder / INFO_FILE).read_bytes())
        with (folder / ITEMS_FILE).open("rb") as lines:
            items = tuple(ImageItem.model_validate_json(line) for line in lines)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(
            f"There is no dataset in '{folder}': '{INFO_FILE}' is missing. Import one first."
        ) from error
    except ValidationError as error:
        raise DatasetError(
            f"The dataset in '{folder}' is damaged ({error.errors()[0]['msg']}). Delete it and import it again."
        ) from error
    if len(items) != info.total_images:
        raise DatasetError(
            f"The dataset in '{folder}' is damaged: it lists {len(items)} of {info.total_images} images. "
            "Delete it and import it again."
        )
    return Dataset(info=info, root=folder, items=items)


def require_stored(datasets_dir: Path, dataset_id: str) -> Path:
    """Return the folder of a dataset that the catalogue lists.

    Raises:
        NotFoundError: somebody took it away.
    """
    folder = datasets_dir / dataset_id
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

    Raises:
        RecipeError: as `require_classes`.
    """
    require_classes(dataset.info, classes)
    wanted = set(classes)
    return dataset.with_items(item for item in dataset.items if item.label in wanted)


def _listed(names: Sequence[str], *, most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
