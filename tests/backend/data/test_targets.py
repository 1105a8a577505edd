from datetime import UTC, datetime

import numpy as np
import pytest

from backend.contracts import Dataset, DatasetInfo, ImageItem
from backend.data.targets import images_by_class, is_multilabel, label_matrix, target_array


def item(number, *labels, label=None):
    first = label if label is not None else min(labels, default="")
    return ImageItem(
        image_id=f"image-{number}",
        path=f"images/{number}.png",
        label=first,
        labels=labels,
        digest=f"{number:064d}",
        width=8,
        height=8,
    )


def dataset(tmp_path, items, task, counts):
    info = DatasetInfo(
        dataset_id="ds-targets",
        name="t",
        task=task,
        total_images=len(items),
        num_classes=len(counts),
        class_counts=counts,
        digest="0",
        created_at=datetime(2024, 1, 1, tzinfo=UTC),
    )
    return Dataset(info=info, root=tmp_path, items=tuple(items))


def test_a_label_matrix_has_a_column_a_class_and_a_row_of_zeros_where_nothing_is_present(tmp_path):
    several = dataset(
        tmp_path, [item(0, "spur", "open"), item(1), item(2, "spur")], "multilabel", {"spur": 2, "open": 1}
    )
    targets = target_array(several)
    assert targets.dtype == np.float32
    assert targets.tolist() == [[1, 1], [0, 0], [0, 1]]  # columns: open, spur
    assert is_multilabel(targets)
    assert images_by_class(targets, 2).tolist() == [1, 2]


def test_a_label_outside_the_classes_is_left_out():
    assert label_matrix([item(0, "spur", "open")], ("spur",)).tolist() == [[1]]


def test_one_class_an_image_stays_an_index(tmp_path):
    single = dataset(tmp_path, [item(0, label="b"), item(1, label="a")], "multiclass", {"a": 1, "b": 1})
    targets = target_array(single)
    assert (targets.dtype, targets.tolist()) == (np.int64, [1, 0])
    assert not is_multilabel(targets)
    assert images_by_class(targets, 3).tolist() == [1, 1, 0]


@pytest.mark.parametrize("shape", [(0,), (0, 4)])
def test_no_image_is_no_error(shape):
    assert images_by_class(np.zeros(shape), 4).tolist() == [0, 0, 0, 0]
