"""`sightglass dataset` and `sightglass compare`, on a dataset's folder and on the service's catalogue."""

import json
from pathlib import Path

import pytest

from backend.cli.app import run
from backend.config import Settings
from backend.data import open_dataset
from backend.data.manifest import load_dataset
from backend.storage.catalog import Catalog
from backend.storage.database import Database
from backend.storage.version_log import VersionLog


@pytest.fixture
def folder(make_zip, tmp_path):
    return open_dataset(make_zip({"circle": 5, "square": 5}), into=tmp_path / "sets").root


@pytest.fixture
def image(folder):
    return load_dataset(folder).items[0].image_id


@pytest.fixture
def said(capsys):
    def out(*arguments, code=0):
        assert run([str(argument) for argument in arguments]) == code
        captured = capsys.readouterr()
        return captured.err if code else captured.out

    return out


def test_a_folder_s_versions_are_made_listed_and_compared(folder, image, said):
    assert "Version 2" in said("dataset", "exclude", folder, image)
    assert "1 restored, 1 relabelled" not in said("dataset", "restore", folder, image)
    assert "1 relabelled" in said("dataset", "relabel", folder, f"{image}=square")
    history = json.loads(said("dataset", "versions", folder, "--json"))
    assert [(one["version"], one["excluded"], one["restored"], one["relabelled"]) for one in history] == [
        (1, 0, 0, 0),
        (2, 1, 0, 0),
        (3, 0, 1, 0),
        (4, 0, 0, 1),
    ]
    assert "1 relabelled" in said("dataset", "versions", folder)
    difference = said("dataset", "diff", folder, "--from", 1)
    assert "Version 1 to 4: 0 added, 0 excluded, 0 restored, 1 relabelled" in difference
    assert f"relabelled {image}  circle -> square" in difference
    assert load_dataset(folder).info.class_counts == {"circle": 4, "square": 6}
    assert load_dataset(folder, version=1).info.class_counts == {"circle": 5, "square": 5}


def test_pictures_are_added(folder, make_zip, said):
    more = make_zip({"circle": 7, "star": 3}, name="more.zip")
    answer = json.loads(said("dataset", "add", folder, more, "--json"))
    assert (answer["added"], answer["new_classes"]) == (5, ["star"]), "five circles are there already"
    assert load_dataset(folder).info.class_counts == {"circle": 7, "square": 5, "star": 3}
    assert json.loads(said("dataset", "versions", folder, "--json"))[1]["kind"] == "images"


def test_what_an_added_zip_leaves_out_is_said(folder, make_zip, said):
    printed = said("dataset", "add", folder, make_zip({"circle": 7}, name="more.zip"))
    assert printed.count("Left out: ") == 5, "five circles are there already"
    assert "the same picture is there already" in printed


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["exclude", "nobody"], "no image 'nobody'"),
        (["relabel", "nobody"], "write IMAGE=LABEL"),
        (["relabel", "{image}=circel"], "Did you mean 'circle'"),
        (["exclude", "{image}", "--base", "7"], "is at version 1"),
        (["restore", "{image}"], "change nothing"),
        (["add", "nowhere.zip"], "There is no 'nowhere.zip'"),
        (["diff", "--from", "9"], "no version 9"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(folder, image, said, arguments, sentence):
    action, *rest = (argument.format(image=image) for argument in arguments)
    assert sentence in said("dataset", action, folder, *rest, code=2)
    assert load_dataset(folder).info.version == 1


def test_a_dataset_that_is_not_there_is_named(said):
    assert "There is no dataset 'ds-none'" in said("dataset", "versions", "ds-none", code=2)


def test_a_dataset_of_the_service_is_changed_through_its_catalogue(make_zip, tmp_path, monkeypatch, said):
    monkeypatch.setenv("SIGHTGLASS_DATA_DIR", str(tmp_path / "data"))
    settings = Settings()
    dataset = open_dataset(make_zip({"circle": 5, "square": 5}), settings=settings)
    database = Database(settings.resolved_database_url)
    Path(settings.data_dir).mkdir(exist_ok=True)
    database.migrate()
    Catalog(database).add_dataset(dataset.info)
    image = dataset.items[0].image_id
    said("dataset", "exclude", dataset.info.dataset_id, image, "--author", "ada")
    assert Catalog(database).dataset(dataset.info.dataset_id).version == 2
    assert [one.author for one in VersionLog(database).history(dataset.info.dataset_id)] == ["", "ada"]
    assert "ada" in said("dataset", "versions", dataset.info.dataset_id)
    database.close()


def test_compare_asks_for_what_it_needs(said, tmp_path):
    assert "There is no model" in said("compare", tmp_path / "one", tmp_path / "two", code=2)
