import pytest

from backend.contracts import ImageItem
from backend.data.groups import group_name, groups_by_name, joined
from backend.errors import DatasetError, RecipeError


@pytest.mark.parametrize(
    ("rule", "file", "group"),
    [
        ("prefix:5", "images/00041043_2.png", "00041"),
        ("prefix:5", "a.png", "a"),
        ("before:_", "set/patient7_left.png", "patient7"),
        ("before:_", "set/single.png", "single"),
        ("before:--", "a--b--c.jpg", "a"),
        ("folder", "day1/camera2/x.png", "day1/camera2"),
        ("folder", "x.png", ""),
    ],
)
def test_a_rule_reads_the_file_s_name(rule, file, group):
    assert group_name(rule, file) == group


@pytest.mark.parametrize("rule", ["prefix:", "prefix:0", "prefix:x", "before:", "board", "folder:1", ".*"])
def test_another_rule_is_refused_with_those_there_are(rule):
    with pytest.raises(RecipeError, match="prefix:5"):
        group_name(rule, "x.png")


def item(number, file):
    return ImageItem(
        image_id=f"image-{number}", path=f"{number}.png", label="a", digest=str(number), width=1, height=1, file=file
    )


def test_files_of_one_name_s_beginning_are_one_group():
    items = [item(0, "a1_0.png"), item(1, "b1_0.png"), item(2, "a1_1.png")]
    assert groups_by_name(items, "before:_") == [(0, 2), (1,)]


def test_a_dataset_without_names_says_what_to_do():
    with pytest.raises(DatasetError, match="1 of 2 images were imported before"):
        groups_by_name([item(0, "a.png"), item(1, "")], "prefix:1")


def test_groups_that_share_an_image_become_one():
    assert joined(7, [(0, 3), (4, 5), (3, 5)]) == [(0, 3, 4, 5), (1,), (2,), (6,)]
