"""What every step from one version of a dataset to the next has in common: counts, history, difference. Pure.

It does not know where a version is kept, nor who else changes the dataset: see `backend.workflows.change_dataset`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from backend.contracts import ChangedImage, Dataset, DatasetDiff, ImageItem, SkippedFile, VersionChange
from backend.contracts.dataset import Task
from backend.contracts.version import ChangeKind
from backend.data.findings import warnings_for
from backend.data.scan import dataset_digest
from backend.errors import InputError

MOST_LISTED = 1000
Labels = tuple[str, ...]


def labels_of(item: ImageItem, task: Task) -> Labels:
    """All labels of an image; perhaps none where the dataset is multi-label."""
    return item.labels if task == "multilabel" else (item.label,)


def class_counts(items: Iterable[ImageItem], task: Task) -> dict[str, int]:
    """How many images carry each label, by name."""
    return dict(sorted(Counter(label for item in items for label in labels_of(item, task)).items()))


def next_version(
    dataset: Dataset,
    items: Sequence[ImageItem],
    *,
    excluded: Sequence[ImageItem] = (),
    skipped: Sequence[SkippedFile] | None = None,
) -> Dataset:
    """The version after `dataset` with these items; counts, warnings and digest follow.

    `skipped`: what was left out; None: what the version before lists.
    """
    kept, out, task = tuple(items), tuple(excluded), dataset.info.task
    counts = class_counts(kept, task)
    update = {
        "version": dataset.info.version + 1,
        "total_images": len(kept),
        "num_classes": len(counts),
        "class_counts": counts,
        "excluded_images": len(out),
        "digest": dataset_digest(kept),
        "warnings": warnings_for(kept, counts),
        "skipped": dataset.info.skipped if skipped is None else tuple(skipped[:MOST_LISTED]),
    }
    return Dataset(info=dataset.info.model_copy(update=update), root=dataset.root, items=kept, excluded=out)


def described(before: Dataset, after: Dataset, *, kind: ChangeKind, author: str) -> VersionChange:
    """The entry of the history for the step from one version to the next."""
    counts = difference(before, after).counts
    old, new = set(before.info.class_counts), set(after.info.class_counts)
    return VersionChange(
        dataset_id=after.info.dataset_id,
        version=after.info.version,
        base_version=before.info.version,
        kind=kind,
        author=author,
        total_images=after.info.total_images,
        num_classes=after.info.num_classes,
        excluded_images=after.info.excluded_images,
        new_classes=tuple(sorted(new - old)),
        dropped_classes=tuple(sorted(old - new)),
        **counts,
    )


def difference(before: Dataset, after: Dataset) -> DatasetDiff:
    """What is otherwise in the later version.

    Raises:
        InputError: the first is the later one.
    """
    if before.info.version > after.info.version:
        raise InputError(
            f"Version {before.info.version} is later than {after.info.version}; name the earlier one as 'from'."
        )
    task = after.info.task
    old = {item.image_id: item for item in before.items}
    hidden = {item.image_id: item for item in before.excluded}
    was = {**hidden, **old}
    everything = (*after.items, *after.excluded)
    added = [item for item in everything if item.image_id not in was]
    excluded = [item for item in after.excluded if item.image_id in old]
    restored = [item for item in after.items if item.image_id in hidden]
    changed = [
        _shown_image(item, task, before=labels_of(was[item.image_id], task))
        for item in everything
        if item.image_id in was and labels_of(item, task) != labels_of(was[item.image_id], task)
    ]
    groups: Mapping[str, list[ChangedImage]] = {
        "added": _shown_images(added, task),
        "excluded": _shown_images(excluded, task),
        "restored": _shown_images(restored, task),
        "relabelled": changed,
    }
    return DatasetDiff(
        dataset_id=after.info.dataset_id,
        from_version=before.info.version,
        to_version=after.info.version,
        counts={name: len(images) for name, images in groups.items()},
        class_counts=_count_changes(before.info.class_counts, after.info.class_counts),
        **{name: tuple(images[:MOST_LISTED]) for name, images in groups.items()},
    )


def _shown_images(items: Iterable[ImageItem], task: Task) -> list[ChangedImage]:
    return [_shown_image(item, task) for item in items]


def _shown_image(item: ImageItem, task: Task, *, before: Labels | None = None) -> ChangedImage:
    return ChangedImage(image_id=item.image_id, file=item.file, labels=labels_of(item, task), before=before)


def _count_changes(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    names = sorted({*before, *after})
    return {
        name: (before.get(name, 0), after.get(name, 0)) for name in names if before.get(name, 0) != after.get(name, 0)
    }
