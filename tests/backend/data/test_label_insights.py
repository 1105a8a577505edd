from datetime import UTC, datetime
from pathlib import Path

from backend.contracts import Dataset, DatasetInfo, ImageItem
from backend.data.insights import describe


def dataset(rows, *, task="multilabel"):
    items = tuple(
        ImageItem(
            image_id=f"image-{number}",
            path=f"{number}.png",
            label=labels[0] if labels else "",
            labels=labels if task == "multilabel" else (),
            digest=str(number),
            width=8,
            height=8,
        )
        for number, labels in enumerate(rows)
    )
    info = DatasetInfo(
        dataset_id="ds-pairs",
        name="pairs",
        task=task,
        total_images=0,
        num_classes=0,
        class_counts={},
        digest="0",
        created_at=datetime(2024, 1, 1, tzinfo=UTC),
    )
    return Dataset(info=info, root=Path("nowhere"), items=()).with_items(items)


def test_labels_that_stand_together_are_counted_beside_chance():
    found = describe(dataset([("crack", "hole")] * 3 + [("crack",)] * 3 + [("hole", "spur")] + [()] * 5))
    assert [(pair.labels, pair.images, pair.by_chance) for pair in found.label_pairs] == [
        (("crack", "hole"), 3, 2.0),  # 6 and 4 of 12
        (("hole", "spur"), 1, 0.3333),
    ]
    assert found.labels_per_image == {0: 5, 1: 3, 2: 4}
    assert found.unlabelled == 5


def test_one_class_an_image_has_no_pairs():
    found = describe(dataset([("a",), ("b",)], task="multiclass"))
    assert (found.label_pairs, found.labels_per_image) == ((), {})
