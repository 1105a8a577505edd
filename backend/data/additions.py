"""The next version of a dataset, with pictures that came later. Pure: it sorts items and opens no picture.

What is a new picture is decided by its bytes: one that is there already, excluded ones among them, is not added twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from backend.contracts import Dataset, ImageItem, SkippedFile
from backend.contracts.dataset import Task
from backend.data.names import shown
from backend.data.pictures import IMAGES_FOLDER
from backend.data.versions import labels_of, next_version
from backend.errors import DatasetError

MOST_NAMED = 3


def with_images(
    dataset: Dataset, found: Sequence[ImageItem], *, skipped: Sequence[SkippedFile] = (), folder: str
) -> Dataset:
    """The next version, with the images of `found` that are not there yet, excluded ones counted as there.

    Their pictures lie in `folder`, relative to the dataset's folder, as those of `found` do in `images`. Ids that
    another picture has already are changed. What was left out is listed in `skipped` of the new version, followed by
    the damaged pictures of before that have not come under the same name now.

    Raises:
        DatasetError: all of them are there already.
    """
    fresh, known = sort_out(dataset, found)
    if not fresh:
        raise DatasetError(_nothing_new(found, (*skipped, *known)))
    number = dataset.info.version + 1
    taken = {item.image_id for item in (*dataset.items, *dataset.excluded)}
    added = []
    for item in fresh:
        image_id = _free_id(item.image_id, taken)
        taken.add(image_id)
        path = f"{folder}/{item.path.removeprefix(f'{IMAGES_FOLDER}/')}"
        added.append(item.model_copy(update={"image_id": image_id, "path": path, "added_in": number}))
    left_out = (*skipped, *known)
    seen = {one.file for one in left_out} | {shown(item.file) for item in fresh}
    damaged = [one for one in dataset.info.skipped if one.damaged and one.file not in seen]
    items = (*dataset.items, *added)
    return next_version(dataset, items, excluded=dataset.excluded, skipped=(*left_out, *damaged))


def fitting(found: Sequence[ImageItem], task: Task, dataset: Dataset) -> list[ImageItem]:
    """The items with their labels as the dataset has them: one class each, or any number of labels.

    Raises:
        DatasetError: an image has several labels or none, and every image of the dataset has one class.
    """
    if task == dataset.info.task:
        return list(found)
    if dataset.info.task == "multilabel":
        return [item.model_copy(update={"labels": (item.label,)}) for item in found]
    for item in found:
        if len(item.labels) != 1:
            raise DatasetError(
                f"The dataset '{dataset.info.name}' has one class for each image, and the archive gives an image "
                f"{len(item.labels)} labels. Send one class for each, or upload the archive as a dataset of its own."
            )
    return [item.model_copy(update={"label": item.labels[0], "labels": ()}) for item in found]


def sort_out(dataset: Dataset, found: Sequence[ImageItem]) -> tuple[list[ImageItem], list[SkippedFile]]:
    """Pictures that the dataset has not, each once; and the others, with where they are already."""
    task = dataset.info.task
    there = {item.digest: _where(item, task) for item in dataset.items}
    there |= {item.digest: f"excluded from the dataset ({item.image_id}); restore it" for item in dataset.excluded}
    fresh: list[ImageItem] = []
    known: list[SkippedFile] = []
    for item in found:
        if item.digest in there:
            known.append(SkippedFile(file=_called(item, task), reason=f"the same picture is {there[item.digest]}"))
        else:
            there[item.digest] = _where(item, task)
            fresh.append(item)
    return fresh, known


def _called(item: ImageItem, task: Task) -> str:
    """Its name in the archive, by which a person finds it; where that is unknown, its label and its name here."""
    own = f"{' + '.join(labels_of(item, task))}/{item.path.rsplit('/', maxsplit=1)[-1]}"
    return shown(item.file) if item.file else own


def _where(item: ImageItem, task: Task) -> str:
    labels = " and ".join(f"'{label}'" for label in labels_of(item, task))
    return f"there already, as {labels}" if labels else "there already"


def _nothing_new(found: Sequence[ImageItem], skipped: Sequence[SkippedFile]) -> str:
    reasons = "; ".join(f"'{entry.file}' ({entry.reason.rstrip('.')})" for entry in skipped[:MOST_NAMED])
    if len(found) == 1:
        seen = "its only picture is there already"
    else:
        seen = f"all {len(found)} pictures are there already" if found else "no usable images were found"
    return f"Nothing was added: {seen}. {reasons}."


def _free_id(wanted: str, taken: set[str]) -> str:
    if wanted not in taken:
        return wanted
    stem = wanted.split("-", maxsplit=1)[0]
    return next(name for count in range(2, len(taken) + 3) if (name := f"{stem}-{count}") not in taken)
