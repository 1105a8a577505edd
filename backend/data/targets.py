"""What a network is to say of each image, as numbers: one class index, or a 0 or 1 for each label.

It knows items and class names, and no network. Whether a task is the one or the other is seen by the shape: [N] or
[N, C]. Scores, losses and rankings go by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from backend.contracts import Dataset, ImageItem

Targets: TypeAlias = npt.NDArray[Any]  # int64 [N], or float32 [N, C] of 0 and 1


def target_array(dataset: Dataset) -> Targets:
    """Class indices int64 [N] of a multi-class dataset, or a label matrix float32 [N, C] of 0 and 1, by its items."""
    if dataset.info.task == "multilabel":
        return label_matrix(dataset.items, dataset.class_names)
    return np.asarray(dataset.targets, dtype=np.int64)


def label_matrix(items: Sequence[ImageItem], class_names: Sequence[str]) -> npt.NDArray[np.float32]:
    """Which labels each image carries, float32 [N, C] of 0 and 1; one that is not among `class_names` is left out.

    An image without any label is a row of zeros: it shows what nothing looks like.
    """
    place = {name: index for index, name in enumerate(class_names)}
    matrix = np.zeros((len(items), len(class_names)), dtype=np.float32)
    for row, item in enumerate(items):
        for label in item.labels:
            if label in place:
                matrix[row, place[label]] = 1.0
    return matrix


def is_multilabel(targets: npt.NDArray[Any]) -> bool:
    """Whether targets are a label matrix [N, C] and not class indices [N]."""
    return targets.ndim == 2


def images_by_class(targets: npt.NDArray[Any], num_classes: int) -> npt.NDArray[np.int64]:
    """How many images carry each class or label [C]."""
    if is_multilabel(targets):
        return np.asarray((targets > 0).sum(axis=0), dtype=np.int64)
    return np.asarray(np.bincount(targets.astype(np.int64), minlength=num_classes), dtype=np.int64)


def strata(targets: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """One number an image [N], by which images are sampled and dealt out fairly: its class, or its rarest label.

    Of a label matrix the rarest label that the image carries, among equally rare ones the first; C where it has none.
    """
    if not is_multilabel(targets):
        return np.asarray(targets, dtype=np.int64)
    present = targets > 0
    rarity = np.argsort(np.argsort(present.sum(axis=0), kind="stable"), kind="stable")  # 0 is the rarest
    ranks = np.where(present, rarity, targets.shape[1])
    return np.asarray(np.where(present.any(axis=1), ranks.argmin(axis=1), targets.shape[1]), dtype=np.int64)
