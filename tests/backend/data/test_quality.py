"""Issues of single images: limits that follow from the dataset, and what all have in common is no fault."""

from __future__ import annotations

import pytest

from backend.contracts import ImageFacts, SkippedFile
from backend.data.quality import find_issues

SOUND = {"brightness": 0.5, "contrast": 0.2, "sharpness": 2000.0, "low": 0.1, "high": 0.9}


def with_facts(dataset, **at):
    """Sound facts for all images but those named by place."""

    def facts(place):
        told = SOUND | at.get(f"at_{place}", {})
        return ImageFacts(format="PNG", mode="RGB", perceptual_hash="0" * 16, **told)

    return dataset.with_items(
        item.model_copy(update={"facts": facts(place)}) for place, item in enumerate(dataset.items)
    )


def rows(count):
    return [("ab"[place % 2], f"{place:064x}") for place in range(count)]


@pytest.mark.parametrize(
    ("kind", "flaw"),
    [
        ("blurry", {"sharpness": 20.0}),
        ("dark", {"high": 0.1, "low": 0.0}),
        ("bright", {"low": 0.95, "high": 1.0}),
        ("low_information", {"contrast": 0.01, "low": 0.5, "high": 0.52}),
    ],
)
def test_what_few_images_show_is_an_issue_and_what_many_show_is_not(listed, kind, flaw):
    few = find_issues(with_facts(listed(*rows(60)), at_3=flaw, at_7=flaw)).issues
    assert set(getattr(few, kind)) == {"image-3", "image-7"}
    many = find_issues(with_facts(listed(*rows(60)), **{f"at_{place}": flaw for place in range(0, 60, 2)})).issues
    assert getattr(many, kind) == ()


def test_odd_sizes_are_those_unlike_the_others(listed):
    sizes = [(label, digest, 100 + place % 20, 90) for place, (label, digest) in enumerate(rows(40))]
    sizes += [("a", "f" * 64, 1600, 60), ("b", "e" * 64, 16, 16)]
    assert set(find_issues(listed(*sizes)).issues.odd_size) == {"image-40", "image-41"}


def test_the_same_file_under_two_labels_is_a_contradiction_also_in_several_labels(listed):
    dataset = listed(*rows(6), ("a", "d" * 64), ("b", "d" * 64))
    found = find_issues(dataset)
    assert found.issues.conflicting_labels == ("image-6", "image-7")
    assert (found.conflicts[0].labels, found.conflicts[0].exact) == (("a", "b"), True)
    several = dataset.with_items(item.model_copy(update={"labels": ("a", "b")}) for item in dataset.items)
    assert find_issues(several).issues.conflicting_labels == ()


def test_only_damaged_pictures_count_as_corrupt(listed):
    dataset = listed(*rows(4))
    skipped = (SkippedFile(file="a/x.jpg", reason="cut off", damaged=True), SkippedFile(file="n.txt", reason="no"))
    info = dataset.info.model_copy(update={"skipped": skipped})
    quality = find_issues(dataset.model_copy(update={"info": info}))
    assert [one.file for one in quality.issues.corrupt] == ["a/x.jpg"]
    assert {note.kind: note.images for note in quality.notes} == {"corrupt": 1, "small_classes": 2}


def test_few_images_are_not_compared_with_each_other(listed):
    assert find_issues(with_facts(listed(*rows(10)), at_1={"sharpness": 1.0})).issues.blurry == ()
