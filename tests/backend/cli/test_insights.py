import json
import zipfile

import pytest
from typer.testing import CliRunner

from backend.cli.app import app


@pytest.fixture
def run(settings, monkeypatch):
    monkeypatch.setenv("SIGHTGLASS_DATA_DIR", str(settings.data_dir))
    return lambda *words: CliRunner().invoke(app, list(words))


def test_an_archive_is_counted_and_checked_and_nothing_is_kept(run, make_zip, settings):
    archive = make_zip({"circle": 24, "square": 4})
    outcome = run("insights", str(archive))
    assert outcome.exit_code == 0, outcome.output
    assert "28 images in 2 classes; the largest has 6.0 times" in outcome.stdout
    assert "small_classes: 1. Fewer than 20 images" in outcome.stdout
    assert "    square\n" in outcome.stdout
    assert not list(settings.data_dir.glob("datasets/*"))


def test_copies_are_named_as_the_archive_does(run, make_zip):
    archive = make_zip({"circle": 3, "square": 3})
    with zipfile.ZipFile(archive, "a") as members:
        first = next(name for name in members.namelist() if name.endswith(".png"))
        members.writestr("circle/again.png", members.read(first))
    outcome = run("insights", str(archive))
    assert outcome.exit_code == 0, outcome.output
    said = " ".join(outcome.stdout.split())
    assert "exact_duplicates: 2 in 1 group. " in said
    assert f", {first})" in said
    assert ", circle/again.png)" in said
    assert "Median size" in said or "All images are" in said


def test_as_json_it_is_the_api_s_answer(run, make_zip):
    outcome = run("insights", str(make_zip({"circle": 5, "square": 4})), "--json")
    found = json.loads(outcome.stdout)
    assert found["quality"] == "checked"
    assert found["class_counts"] == {"circle": 5, "square": 4}


def test_an_unknown_dataset_is_one_sentence(run):
    outcome = run("insights", "ds-none")
    assert outcome.exit_code != 0
    assert outcome.stdout == ""
