from __future__ import annotations

import shutil

import pytest
from service_fakes import model_info

from backend.config import Settings
from backend.contracts import Dataset, ModelInfo, TestPrediction, TestPredictions
from backend.errors import DiskFullError, InputError
from backend.storage.answers import write_answers
from backend.workflows import export_model as module
from backend.workflows.export_model import export_model, list_exports, pictures_of


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(offline=True, data_dir=tmp_path / "data")


@pytest.fixture
def dataset(settings, make_zip) -> Dataset:
    from backend.data import open_dataset

    return open_dataset(make_zip({"circle": 6, "square": 6}), into=settings.datasets_dir, settings=settings)


@pytest.fixture
def model(settings, dataset) -> ModelInfo:
    info = model_info("md-1", dataset_id=dataset.info.dataset_id)
    folder = settings.models_dir / "md-1"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(info.model_dump_json())
    (folder / "model.pth").write_bytes(b"weights")
    return info


def folder_of(settings):
    return settings.models_dir / "md-1"


def test_pictures_of_the_test_come_first_and_all_come_once(settings, dataset, model, monkeypatch):
    tested = dataset.items[4:7]
    images = tuple(
        TestPrediction(image_id=one.image_id, label=one.label, predicted=one.label, confidence=1) for one in tested
    )
    write_answers(folder_of(settings), TestPredictions(class_names=("circle", "square"), images=images))
    asked = []
    real = module.open_picture
    monkeypatch.setattr(
        module, "open_picture", lambda root, path, **options: asked.append(path) or real(root, path, **options)
    )
    pictures = list(pictures_of(settings, model, folder_of(settings)))
    assert len(pictures) == len(set(asked)) == 12
    assert set(asked[:3]) == {one.path for one in tested}
    assert pictures[0].mode == "RGB"


def test_a_dataset_that_is_gone_gives_no_pictures(settings, dataset, model):
    shutil.rmtree(settings.datasets_dir)
    assert list(pictures_of(settings, model, folder_of(settings))) == []


def test_a_full_disk_is_told_as_such(settings, model, monkeypatch):
    import errno

    def write(folder, subject):
        raise OSError(errno.ENOSPC, "No space left on device")

    import dataclasses

    from backend.inference.exporters.formats import FORMATS

    monkeypatch.setitem(FORMATS, "card", dataclasses.replace(FORMATS["card"], write=write))
    with pytest.raises(DiskFullError):
        export_model(settings, model, format="card")
    assert export_model(settings, model, format="pth").path.is_file()  # needs no room


def test_what_lies_there_is_listed(settings, model):
    assert [one.format for one in list_exports(settings, model) if one.ready] == ["pth"]
    export_model(settings, model, format="card")
    assert [one.format for one in list_exports(settings, model) if one.ready] == ["pth", "card"]
    with pytest.raises(InputError):
        export_model(settings, model, format="docx")


def test_the_command_line_finds_the_results_of_the_service_s_own_models(settings, model, tmp_path):
    from service_fakes import results_record

    from backend.storage.catalog import Catalog
    from backend.storage.database import Database

    database = Database(settings.resolved_database_url)
    database.migrate()
    described = model.model_copy(update={"job_id": "job-1"})
    (folder_of(settings) / "model.json").write_text(described.model_dump_json())
    Catalog(database).publish(results_record("job-1", dataset_id=model.dataset_id, model_id="md-1"), described)
    database.close()
    written, _ = module.export_folder("md-1", format="card", target=tmp_path, settings=settings)
    assert "Training / validation / test" in written.read_text(encoding="utf-8")
