from __future__ import annotations

import pytest

from backend.data.item_table import write_items
from backend.data.manifest import load_dataset, restrict_classes, save_dataset, stored_versions, version_folder
from backend.errors import DatasetError, NotFoundError, RecipeError


def test_what_is_saved_is_what_is_loaded(listed, tmp_path):
    dataset = listed(("猫", "a"), ("dog", "b"))
    save_dataset(dataset, tmp_path)
    loaded = load_dataset(tmp_path)
    assert (loaded.info, loaded.items, loaded.root) == (dataset.info, dataset.items, tmp_path)


def test_a_folder_without_a_dataset_is_not_found(tmp_path):
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(NotFoundError, match=r"dataset\.json"):
            load_dataset(folder)


@pytest.mark.parametrize(("name", "content"), [("dataset.json", "{"), ("items.npz", "{}\n"), ("items.npz", "")])
def test_damaged_files_are_said_to_be_damaged(listed, tmp_path, name, content):
    save_dataset(listed(("a", "a"), ("b", "b")), tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match="damaged"):
        load_dataset(tmp_path)


def test_some_classes_can_be_chosen_in_any_order(listed):
    dataset = listed(("ship", "1"), ("cat", "2"), ("plane", "3"), ("ship", "4"))
    chosen = restrict_classes(dataset, ["ship", "plane", "ship"])
    assert chosen.info.class_counts == {"plane": 1, "ship": 2}
    assert [item.digest for item in chosen.items] == ["1", "3", "4"]
    assert chosen.targets == (1, 0, 1)
    assert chosen.info.total_images == 3


def test_an_unknown_class_is_refused_with_the_nearest_name(listed):
    with pytest.raises(RecipeError, match=r"no class 'airplan'\. Did you mean 'Airplane'\?.*It has: Airplane, ship"):
        restrict_classes(listed(("Airplane", "1"), ("ship", "2")), ["airplan", "ship"])


def test_an_unknown_class_with_nothing_near_is_refused_without_a_guess(listed):
    with pytest.raises(RecipeError, match=r"no class 'zzz'\. It has"):
        restrict_classes(listed(("Airplane", "1"), ("ship", "2")), ["zzz", "ship"])


def test_a_single_chosen_class_is_refused(listed):
    with pytest.raises(RecipeError, match="at least 2"):
        restrict_classes(listed(("a", "1"), ("b", "2")), ["a", "a"])


def later(dataset, **changes):
    return dataset.model_copy(update={"info": dataset.info.model_copy(update=changes)})


def test_the_newest_version_is_opened_and_any_other_by_its_number(listed, tmp_path):
    first = listed(("a", "1"), ("b", "2"), ("b", "3"))
    save_dataset(first, tmp_path)
    second = later(first.with_items(first.items[:2]), version=2, excluded_images=1)
    second = second.model_copy(update={"excluded": first.items[2:]})
    save_dataset(second, version_folder(tmp_path, 2))
    save_dataset(later(first, version=10), version_folder(tmp_path, 10))
    assert stored_versions(tmp_path) == [1, 2, 10]
    assert load_dataset(tmp_path).info.version == 10
    assert load_dataset(tmp_path, version=1).items == first.items
    opened = load_dataset(tmp_path, version=2)
    assert (opened.items, opened.excluded, opened.root) == (first.items[:2], first.items[2:], tmp_path)
    assert opened.with_items(opened.items[:1]).excluded == opened.excluded


def test_a_half_written_version_is_not_there(listed, tmp_path):
    save_dataset(listed(("a", "1"), ("b", "2")), tmp_path)
    version_folder(tmp_path, 2).mkdir(parents=True)
    (tmp_path / "versions" / ".tmp-abc").mkdir()
    assert stored_versions(tmp_path) == [1]
    assert load_dataset(tmp_path).info.version == 1


def test_a_version_that_is_not_there_is_not_found_and_those_that_are_get_named(listed, tmp_path):
    save_dataset(listed(("a", "1"), ("b", "2")), tmp_path)
    with pytest.raises(NotFoundError, match=r"no version 3\. It has: 1"):
        load_dataset(tmp_path, version=3)


def test_a_version_whose_excluded_images_are_gone_is_damaged(listed, tmp_path):
    save_dataset(later(listed(("a", "1"), ("b", "2")), version=2, excluded_images=2), version_folder(tmp_path, 2))
    with pytest.raises(NotFoundError):
        load_dataset(tmp_path, version=2)
    write_items((), version_folder(tmp_path, 2) / "excluded.npz")
    with pytest.raises(DatasetError, match="lists 2 of 4"):
        load_dataset(tmp_path, version=2)
