from __future__ import annotations

import subprocess
import sys

import pytest

from backend.config import Settings
from backend.contracts import Recipe
from backend.data import open_dataset
from backend.data.augmentation_catalogue import as_applied, chosen_augmentations, default_augmentations
from backend.data.names import clean_name, shown
from backend.errors import ArchiveError, DatasetError, RecipeError, TooLargeError


@pytest.fixture
def tree(folders, tmp_path):
    root = tmp_path / "pictures"
    for name, data in folders({"cat": 2, "dog": 2}).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def test_a_zip_is_imported_and_its_folder_opened_again(packed, folders, tmp_path):
    path = tmp_path / "pets.zip"
    path.write_bytes(packed(folders({"cat": 2, "dog": 2})).getvalue())
    dataset = open_dataset(str(path), into=tmp_path / "here")
    assert dataset.info.name == "pets"
    assert dataset.root.parent == tmp_path / "here"
    assert open_dataset(dataset.root) == dataset


def test_a_folder_is_imported_like_the_archive_of_it(tree, packed, folders, tmp_path):
    (tree / "set" / "cat" / ".DS_Store").write_bytes(b"x")
    (tree / "set" / "cat" / "notes.txt").write_bytes(b"x")
    (tree / "set" / "old.zip").write_bytes(b"x")
    dataset = open_dataset(tree, into=tmp_path / "here")
    path = tmp_path / "same.zip"
    path.write_bytes(packed(folders({"cat": 2, "dog": 2})).getvalue())
    assert dataset.info.digest == open_dataset(path, into=tmp_path / "here").info.digest
    assert dataset.info.name == "pictures"
    assert {entry.file for entry in dataset.info.skipped} == {"pictures/set/cat/notes.txt", "pictures/set/old.zip"}


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_links_in_a_folder_are_not_followed(tree, picture, tmp_path):
    outside = tmp_path / "secret.png"
    outside.write_bytes(picture(99))
    (tree / "set" / "cat" / "link.png").symlink_to(outside)
    (tree / "set" / "bird").symlink_to(tmp_path, target_is_directory=True)
    dataset = open_dataset(tree, into=tmp_path / "here")
    assert dataset.info.class_counts == {"cat": 2, "dog": 2}
    assert "link" in dataset.info.skipped[0].reason


def test_a_folder_obeys_the_limits(tree, tmp_path):
    with pytest.raises(TooLargeError, match="more than 3 files"):
        open_dataset(tree, into=tmp_path / "here", settings=Settings(max_archive_files=3))


def test_a_new_dataset_goes_to_the_data_folder(tree, tmp_path):
    settings = Settings(data_dir=tmp_path / "mine")
    assert open_dataset(tree, settings=settings).root.parent == settings.datasets_dir


def test_what_is_not_there_or_empty_is_refused(tmp_path):
    with pytest.raises(ArchiveError, match=r"gone\.zip"):
        open_dataset(tmp_path / "gone.zip", into=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="No usable images"):
        open_dataset(tmp_path / "empty", into=tmp_path)


def test_opening_datasets_loads_no_heavy_library():
    code = (
        "import sys, backend.data, backend.data.cache, backend.data.preprocessing;"
        "print([name for name in ('torch', 'torchvision', 'timm', 'sklearn', 'mlflow', 'sqlalchemy', 'fastapi')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (" a b ", "a b"),
        ("a\x00b\x7f\x85", "ab"),
        ("\u202egnp", "gnp"),
        ("e\u0301", "é"),
        ("👩‍🔬", "👩‍🔬"),
        ("\ud800", ""),
    ],
)
def test_names_are_cleaned_and_otherwise_kept(raw, clean):
    assert clean_name(raw) == clean


def test_long_names_are_shortened_in_the_middle():
    assert shown("a" * 50 + "b" * 50, limit=11) == "aaaaa…bbbbb"
    assert shown("short") == "short"


def test_augmentations_have_defaults_and_unknown_ones_are_refused():
    assert set(default_augmentations()) == {"horizontal_flip", "random_resized_crop"}
    recipe = Recipe(dataset_id="ds-1", overrides={"augment.horizontal_flip": False, "augment.rotation": True})
    assert chosen_augmentations(recipe) == ("random_resized_crop", "rotation")
    for wrong in ({"augmentations": ["rotatin"]}, {"overrides": {"augment.rotatin": True}}):
        with pytest.raises(RecipeError, match="Did you mean 'rotation'"):
            chosen_augmentations(Recipe.model_validate({"dataset_id": "ds-1", **wrong}))


@pytest.mark.parametrize(
    ("said", "applied"),
    [
        ({"preset": "defects", "overrides": {"augment.vertical_flip": False}}, ("horizontal_flip",)),
        (
            {"preset": "defects", "overrides": {"augment.rotation": True, "augment.horizontal_flip": False}},
            ("vertical_flip", "rotation"),
        ),
        ({"strategy": "finetune"}, ("horizontal_flip", "random_resized_crop")),
        ({"augmentations": ["rotation"], "overrides": {"augment.rotation": False}}, ()),
        ({"overrides": {"augment.horizontal_flip": False}}, ("random_resized_crop",)),
        ({}, None),  # probes change no picture
    ],
)
def test_a_recipe_lists_the_changes_that_it_really_makes(said, applied):
    recipe = Recipe.model_validate({"dataset_id": "ds-1", **said})
    told = as_applied(recipe)
    assert told.augmentations == applied
    assert chosen_augmentations(told) == chosen_augmentations(recipe)  # trained again from what is told, it is the same
    assert told.model_copy(update={"augmentations": recipe.augmentations}) == recipe
