from __future__ import annotations

import pytest

from backend.contracts import Corrections
from backend.data import versions
from backend.data.additions import with_images
from backend.data.corrections import corrected
from backend.errors import InputError


@pytest.fixture
def dataset(listed):
    return listed(*[("cat", f"c{n}") for n in range(5)], *[("dog", f"d{n}") for n in range(5)])


def test_a_difference_names_what_was_excluded_relabelled_added_and_restored(dataset, listed):
    second = corrected(dataset, Corrections(exclude=("image-0", "image-5"), relabel={"image-1": "dog"}))
    new = [listed(("owl", "new")).items[0].model_copy(update={"image_id": "new-1"})]
    third = with_images(second, new, folder="f")
    fourth = corrected(third, Corrections(restore=("image-0",)))
    whole = versions.difference(dataset, fourth)
    assert whole.counts == {"added": 1, "excluded": 1, "restored": 0, "relabelled": 1}
    assert whole.class_counts == {"cat": (5, 4), "owl": (0, 1)}
    assert [(image.image_id, image.before, image.labels) for image in whole.relabelled] == [
        ("image-1", ("cat",), ("dog",))
    ]
    assert versions.difference(third, fourth).restored[0].image_id == "image-0"
    assert versions.difference(dataset, dataset).counts == {"added": 0, "excluded": 0, "restored": 0, "relabelled": 0}


def test_a_difference_runs_forward(dataset):
    later = corrected(dataset, Corrections(exclude=("image-0",)))
    with pytest.raises(InputError, match="Version 2 is later than 1"):
        versions.difference(later, dataset)


def test_long_lists_are_cut_and_counted(listed):
    dataset = listed(*[("cat", f"c{n}") for n in range(1500)], *[("dog", f"d{n}") for n in range(5)])
    out = corrected(dataset, Corrections(exclude=tuple(f"image-{n}" for n in range(1200))))
    diff = versions.difference(dataset, out)
    assert (diff.counts["excluded"], len(diff.excluded)) == (1200, 1000)


def test_the_history_s_entry_says_who_did_what(dataset):
    after = corrected(dataset, Corrections(exclude=tuple(f"image-{n}" for n in range(1)), relabel={"image-1": "dog"}))
    change = versions.described(dataset, after, kind="corrections", author="ada")
    assert (change.version, change.base_version, change.author) == (2, 1, "ada")
    assert (change.excluded, change.relabelled, change.added) == (1, 1, 0)
    assert (change.total_images, change.excluded_images) == (9, 1)


def test_new_and_dropped_classes_are_named(listed):
    dataset = listed(*[(label, f"{label}{n}") for label in ("cat", "dog", "owl") for n in range(3)])
    after = corrected(dataset, Corrections(exclude=("image-6", "image-7", "image-8")))
    assert versions.described(dataset, after, kind="corrections", author="").dropped_classes == ("owl",)
    new = [listed(("elk", "e")).items[0].model_copy(update={"image_id": "elk-1"})]
    added = with_images(after, new, folder="f")
    assert versions.described(after, added, kind="images", author="").new_classes == ("elk",)
