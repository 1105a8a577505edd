"""Pictures of this machine become a dataset that the service lists."""

import io
import json

import pytest
from PIL import Image

from backend.cli.app import run
from backend.config import Settings
from backend.storage.catalog import Catalog
from backend.storage.database import Database


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pets"
    folder.mkdir()
    rows = ["file_name,label"]
    for number in range(6):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), (number * 40, 10, 10)).save(buffer, "PNG")
        (folder / f"{number}.png").write_bytes(buffer.getvalue())
        rows.append(f"{number}.png,{'cat' if number % 2 else 'dog'}")
    (folder / "metadata.csv").write_text("\n".join(rows))
    (folder / "readme.txt").write_text("hello")
    return folder


def test_a_folder_with_metadata_is_imported_and_listed(pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SIGHTGLASS_DATA_DIR", str(tmp_path / "data"))
    assert run(["import", str(pictures), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["class_counts"] == {"cat": 3, "dog": 3}
    settings = Settings()
    database = Database(settings.resolved_database_url)
    [listed] = Catalog(database).datasets()
    database.close()
    assert (listed.dataset_id, listed.name) == (printed["dataset_id"], "pets")
    assert (settings.datasets_dir / listed.dataset_id / "dataset.json").is_file()


def test_what_was_left_out_is_printed(pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SIGHTGLASS_DATA_DIR", str(tmp_path / "data"))
    assert run(["import", str(pictures), "--name", "mine"]) == 0
    text = capsys.readouterr().out
    assert "'mine', 6 images, 2 classes" in text
    assert "Left out: pets/readme.txt" in text


def test_what_is_not_there_is_refused(tmp_path, capsys):
    assert run(["import", str(tmp_path / "gone")]) == 2
    assert "gone" in capsys.readouterr().err
