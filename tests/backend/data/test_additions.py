from __future__ import annotations

import pytest

from backend.contracts import Corrections, SkippedFile
from backend.data.additions import fitting, with_images
from backend.data.corrections import corrected
from backend.errors import DatasetError


@pytest.fixture
def dataset(listed):
    return listed(*[("cat", f"c{n}") for n in range(4)], *[("dog", f"d{n}") for n in range(4)])


def found(listed, *rows):
    """What a scan of a second archive returns: ids and paths of its own."""
    return [
        item.model_copy(update={"image_id": item.digest, "path": f"images/{item.digest}.png"})
        for item in listed(*rows).items
    ]


def test_new_pictures_join_and_say_in_which_version_they_came(dataset, listed):
    made = with_images(dataset, found(listed, ("cat", "new"), ("owl", "owl1")), folder="versions/2/images")
    assert made.info.version == 2
    assert made.info.class_counts == {"cat": 5, "dog": 4, "owl": 1}
    assert made.items[:8] == dataset.items
    assert [(item.image_id, item.path, item.added_in) for item in made.items[8:]] == [
        ("new", "versions/2/images/new.png", 2),
        ("owl1", "versions/2/images/owl1.png", 2),
    ]


def test_a_picture_that_is_there_already_is_not_added_twice(dataset, listed):
    skipped = [SkippedFile(file="x.txt", reason="not an image")]
    found_items = found(listed, ("cat", "c0"), ("dog", "c1"), ("cat", "new"), ("dog", "new"))
    made = with_images(dataset, found_items, skipped=skipped, folder="f")
    assert made.info.class_counts == {"cat": 5, "dog": 4}
    reasons = {entry.file: entry.reason for entry in made.info.skipped}
    assert list(reasons) == ["x.txt", "cat/c0.png", "dog/c1.png", "dog/new.png"]
    assert reasons["dog/c1.png"] == "the same picture is there already, as 'cat'"


def test_what_is_left_out_is_called_as_in_the_archive(dataset, listed):
    there, new = (
        item.model_copy(update={"file": f"set/{item.label}/IMG_{number}.jpg"})
        for number, item in enumerate(found(listed, ("cat", "c0"), ("cat", "new")))
    )
    made = with_images(dataset, [there, new], folder="f")
    assert [entry.file for entry in made.info.skipped] == ["set/cat/IMG_0.jpg"]


def test_damaged_pictures_of_before_stay_listed_until_they_come_mended(dataset, listed):
    names = ("cat/broken.jpg", "dog/broken.jpg")
    damaged = [SkippedFile(file=name, reason="damaged", damaged=True) for name in names]
    notes = SkippedFile(file="notes.txt", reason="not an image")
    info = dataset.info.model_copy(update={"skipped": (*damaged, notes)})
    mended = found(listed, ("cat", "whole"))[0].model_copy(update={"file": "cat/broken.jpg"})
    made = with_images(dataset.model_copy(update={"info": info}), [mended], folder="f")
    assert made.info.skipped == (damaged[1],)


def test_an_excluded_picture_does_not_come_back_by_the_side_door(dataset, listed):
    out = corrected(dataset, Corrections(exclude=("image-0",)))
    made = with_images(out, found(listed, ("cat", "c0"), ("cat", "new")), folder="f")
    assert (made.info.total_images, made.info.excluded_images) == (8, 1)
    assert "excluded from the dataset (image-0); restore it" in made.info.skipped[0].reason


def test_an_id_that_another_picture_has_is_changed(dataset, listed):
    there = dataset.with_items(
        item.model_copy(update={"image_id": "abc" if place == 0 else item.image_id})
        for place, item in enumerate(dataset.items)
    )
    new = [item.model_copy(update={"image_id": "abc"}) for item in found(listed, ("cat", "x"), ("cat", "y"))]
    made = with_images(there, new, folder="f")
    assert [item.image_id for item in made.items[8:]] == ["abc-2", "abc-3"]
    assert len({item.path for item in made.items}) == 10


@pytest.mark.parametrize(("rows", "said"), [([("cat", "c0")], "its only picture is there already"), ([], "no usable")])
def test_nothing_new_is_refused(dataset, listed, rows, said):
    with pytest.raises(DatasetError, match=f"Nothing was added: {said}"):
        with_images(dataset, found(listed, *rows), folder="f")


def several(items, *labels):
    return [
        item.model_copy(update={"labels": own, "label": own[0] if own else ""})
        for item, own in zip(items, labels, strict=True)
    ]


def test_one_class_each_joins_a_dataset_of_several_labels(dataset, listed):
    multilabel = dataset.model_copy(update={"info": dataset.info.model_copy(update={"task": "multilabel"})})
    [item] = fitting(found(listed, ("cat", "new")), "multiclass", multilabel)
    assert item.labels == ("cat",)


def test_several_labels_join_a_dataset_of_one_class_each_only_where_they_are_one(dataset, listed):
    two = found(listed, ("cat", "x"), ("dog", "y"))
    joined = fitting(several(two, ("cat",), ("dog",)), "multilabel", dataset)
    assert [(item.label, item.labels) for item in joined] == [("cat", ()), ("dog", ())]
    for wrong, said in ((("cat", "dog"), "2 labels"), ((), "0 labels")):
        with pytest.raises(DatasetError, match=said):
            fitting(several(two, ("cat",), wrong), "multilabel", dataset)
