"""The next version of a dataset, with images left out, taken in again or given another label. Pure.

It does not know who asked, nor why: a person's own eyes, an issue list and a suspect label are all the same here.
"""

from __future__ import annotations

from collections.abc import Sequence

from backend.contracts import Corrections, Dataset, ImageItem
from backend.contracts.dataset import Task
from backend.data.names import clean_name, shown
from backend.data.split import LEAST_IMAGES
from backend.data.versions import Labels, class_counts, labels_of, next_version
from backend.errors import DatasetError, InputError, NotFoundError
from backend.registry import nearest

MOST_NAMED = 3


def corrected(dataset: Dataset, corrections: Corrections) -> Dataset:
    """The next version, with images left out, taken in again or given another label.

    What is so already stays so; `first_label` of a relabelled image says what it came with.

    Raises:
        NotFoundError: an image is unknown.
        InputError: a label is unknown, the corrections contradict each other, or change nothing.
        DatasetError: a class would be left with too few images, or the dataset with fewer than two classes.
    """
    _check(dataset, corrections)
    leave, take = set(corrections.exclude), set(corrections.restore)
    task = dataset.info.task
    wanted = {image_id: _as_labels(label, task) for image_id, label in corrections.relabel.items()}
    kept: list[ImageItem] = []
    out: list[ImageItem] = []
    for item in dataset.items:
        (out if item.image_id in leave else kept).append(_relabelled(item, wanted.get(item.image_id), task))
    for item in dataset.excluded:
        (kept if item.image_id in take else out).append(_relabelled(item, wanted.get(item.image_id), task))
    if not kept:
        raise DatasetError("Nothing would be left of the dataset. Exclude fewer images, or delete the dataset.")
    made = next_version(dataset, kept, excluded=out)
    if made.items == dataset.items and made.excluded == dataset.excluded:
        raise InputError("These corrections change nothing: the images are so already. Name other images or labels.")
    _require_enough(dataset, made)
    return made


def _check(dataset: Dataset, corrections: Corrections) -> None:
    if not corrections:
        raise InputError("No change was named. Send 'exclude', 'restore' or 'relabel' with the ids of images.")
    inside = {item.image_id for item in dataset.items}
    outside = {item.image_id for item in dataset.excluded}
    named = [*corrections.exclude, *corrections.restore, *corrections.relabel]
    unknown = [image_id for image_id in named if image_id not in inside and image_id not in outside]
    if unknown:
        raise NotFoundError(
            f"Dataset '{dataset.info.dataset_id}' has no image {_listed(unknown)}; nothing was changed. "
            f"GET /api/cv/datasets/{dataset.info.dataset_id}/images lists those there are."
        )
    both = sorted(set(corrections.exclude) & (set(corrections.restore) | set(corrections.relabel)))
    if both:
        raise InputError(f"Image {_listed(both)} is to be excluded and to be restored or relabelled; choose one.")
    hidden = [one for one in corrections.relabel if one in outside and one not in corrections.restore]
    if hidden:
        raise InputError(f"Image {_listed(hidden)} is excluded; restore it in the same change to relabel it.")
    _check_labels(dataset, corrections)


def _check_labels(dataset: Dataset, corrections: Corrections) -> None:
    task = dataset.info.task
    known = sorted(class_counts((*dataset.items, *dataset.excluded), task))
    for image_id, label in corrections.relabel.items():
        labels = _as_labels(label, task)
        if task == "multiclass" and len(labels) != 1:
            raise InputError(f"Image '{image_id}' needs exactly one label, and {len(labels)} were given.")
        for name in labels:
            if name not in known:
                raise InputError(
                    f"Nothing was changed: there is no class '{shown(clean_name(name))}'.{nearest(name, known)} The "
                    f"dataset has: {', '.join(known[:20])}. A new class comes with images of its own: add a ZIP."
                )


def _as_labels(label: str | Labels, task: Task) -> Labels:
    if isinstance(label, str):
        return (label,)
    return tuple(sorted(set(label))) if task == "multilabel" else tuple(label)


def _relabelled(item: ImageItem, labels: Labels | None, task: Task) -> ImageItem:
    if labels is None or labels == labels_of(item, task):
        return item
    first = item.label if item.first_label is None else item.first_label
    main = labels[0] if labels else ""
    update: dict[str, object] = {"label": main, "first_label": None if main == first else first}
    if task == "multilabel":
        came_with = item.labels if item.first_labels is None else item.first_labels
        update["labels"] = labels
        update["first_labels"] = None if labels == came_with else came_with
    return item.model_copy(update=update)


def _require_enough(before: Dataset, after: Dataset) -> None:
    """Raise where a change, and not what was there, makes a class or the dataset useless."""
    if after.info.task == "multilabel":
        return
    if after.info.num_classes < 2:
        raise DatasetError(
            f"Only the class '{after.class_names[0]}' would be left; at least 2 are needed. Nothing was changed."
        )
    for label, had in before.info.class_counts.items():
        left = after.info.class_counts.get(label, 0)
        if 0 < left < LEAST_IMAGES <= had:
            images = "1 image" if left == 1 else f"{left} images"
            raise DatasetError(
                f"The class '{label}' would be left with {images}; at least {LEAST_IMAGES} are needed, or none to drop "
                "the class. Nothing was changed."
            )


def _listed(image_ids: Sequence[str]) -> str:
    named = ", ".join(f"'{shown(clean_name(one), limit=64)}'" for one in image_ids[:MOST_NAMED])
    return f"{named} and {len(image_ids) - MOST_NAMED} more" if len(image_ids) > MOST_NAMED else named
