from __future__ import annotations

import pytest

from backend.contracts import Corrections
from backend.data.corrections import corrected
from backend.errors import DatasetError, InputError, NotFoundError


@pytest.fixture
def dataset(listed):
    """Four cats (image-0 to 3), four dogs (4 to 7), one owl (8)."""
    rows = [("cat", f"c{n}") for n in range(4)] + [("dog", f"d{n}") for n in range(4)] + [("owl", "o")]
    return listed(*rows)


@pytest.fixture
def multilabel(dataset):
    labels = [("cat",), ("cat", "dog"), (), ("dog",)]
    items = [
        item.model_copy(update={"labels": own, "label": own[0] if own else ""})
        for item, own in zip(dataset.items, labels, strict=False)
    ]
    made = dataset.with_items(items)
    counts = {"cat": 2, "dog": 2}
    info = made.info.model_copy(update={"task": "multilabel", "class_counts": counts, "num_classes": 2})
    return made.model_copy(update={"info": info})


def test_excluding_leaves_an_image_out_and_keeps_it(dataset):
    made = corrected(dataset, Corrections(exclude=("image-0",)))
    assert made.info.version == 2
    assert made.info.class_counts == {"cat": 3, "dog": 4, "owl": 1}
    assert (made.info.total_images, made.info.excluded_images) == (8, 1)
    assert [item.image_id for item in made.excluded] == ["image-0"]
    assert made.info.digest != dataset.info.digest
    assert made.info.dataset_id == dataset.info.dataset_id
    assert dataset.info.total_images == 9, "the old version must stay as it was"


def test_restoring_gives_back_what_was_excluded(dataset):
    out = corrected(dataset, Corrections(exclude=("image-0", "image-8")))
    assert "owl" not in out.info.class_counts
    back = corrected(out, Corrections(restore=("image-8",)))
    assert (back.info.version, back.info.class_counts["owl"], back.info.excluded_images) == (3, 1, 1)
    whole = corrected(back, Corrections(restore=("image-0",)))
    assert sorted(whole.items, key=lambda item: item.image_id) == list(dataset.items)


def test_relabelling_remembers_the_label_it_came_with(dataset):
    once = corrected(dataset, Corrections(relabel={"image-0": "dog"}))
    item = next(item for item in once.items if item.image_id == "image-0")
    assert (item.label, item.first_label) == ("dog", "cat")
    twice = corrected(once, Corrections(relabel={"image-0": "owl"}))
    assert next(item for item in twice.items if item.image_id == "image-0").first_label == "cat"
    undone = corrected(twice, Corrections(relabel={"image-0": "cat"}))
    assert undone.items == dataset.items


def test_restoring_and_relabelling_go_together(dataset):
    out = corrected(dataset, Corrections(exclude=("image-0",)))
    made = corrected(out, Corrections(restore=("image-0",), relabel={"image-0": "dog"}))
    assert made.info.class_counts == {"cat": 3, "dog": 5, "owl": 1}


def test_a_whole_class_can_be_left_out(dataset):
    assert corrected(dataset, Corrections(exclude=("image-8",))).class_names == ("cat", "dog")


def test_the_label_of_a_class_that_was_dropped_is_still_known(dataset):
    out = corrected(dataset, Corrections(exclude=("image-8",)))
    made = corrected(out, Corrections(restore=("image-8",), relabel={"image-0": "owl"}))
    assert made.info.class_counts["owl"] == 2


def test_a_multi_label_image_gets_all_its_labels_or_none(multilabel):
    made = corrected(multilabel, Corrections(relabel={"image-2": ("dog", "cat"), "image-0": ()}))
    by_id = {item.image_id: item for item in made.items}
    assert (by_id["image-2"].labels, by_id["image-2"].label) == (("cat", "dog"), "cat")
    assert (by_id["image-0"].labels, by_id["image-0"].label, by_id["image-0"].first_label) == ((), "", "cat")
    assert made.info.class_counts == {"cat": 2, "dog": 3}


@pytest.mark.parametrize(
    ("corrections", "error", "said"),
    [
        (Corrections(), InputError, "No change was named"),
        (Corrections(exclude=("image-99",)), NotFoundError, "no image 'image-99'; nothing was changed"),
        (Corrections(restore=("no",), relabel={"nor": "cat"}), NotFoundError, "'no', 'nor'"),
        (Corrections(relabel={"image-0": "dgo"}), InputError, r"no class 'dgo'\. Did you mean 'dog'"),
        (Corrections(relabel={"image-0": ("cat", "dog")}), InputError, "exactly one label, and 2"),
        (Corrections(relabel={"image-0": ()}), InputError, "exactly one label, and 0"),
        (Corrections(relabel={"image-0": "cat"}), InputError, "change nothing"),
        (Corrections(restore=("image-0",)), InputError, "change nothing"),
        (Corrections(exclude=("image-0",), restore=("image-0",)), InputError, "choose one"),
        (Corrections(exclude=("image-0",), relabel={"image-0": "dog"}), InputError, "choose one"),
        (Corrections(exclude=("image-0", "image-1")), DatasetError, "'cat' would be left with 2 images"),
        (Corrections(exclude=tuple(f"image-{n}" for n in range(9))), DatasetError, "Nothing would be left"),
        (Corrections(exclude=tuple(f"image-{n}" for n in range(4, 9))), DatasetError, "Only the class 'cat'"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(dataset, corrections, error, said):
    with pytest.raises(error, match=said):
        corrected(dataset, corrections)


def test_an_excluded_image_is_not_relabelled_unseen(dataset):
    out = corrected(dataset, Corrections(exclude=("image-0",)))
    with pytest.raises(InputError, match="'image-0' is excluded; restore it"):
        corrected(out, Corrections(relabel={"image-0": "dog"}))


def test_a_class_that_was_too_small_before_does_not_stand_in_the_way(dataset):
    made = corrected(dataset, Corrections(relabel={"image-0": "dog"}))
    assert made.info.class_counts["owl"] == 1
