from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.config import Settings
from backend.contracts import Job, ModelInfo, Preprocessing, RunControl
from backend.errors import ArchiveError, InputError, JobCancelled, NotFoundError
from backend.storage.uploads import UploadStore
from backend.workflows import predict_batch
from backend.workflows.batch_results import BatchQuestion, result_file
from backend.workflows.predict_batch import check_archive, predict_into, run_job

CLASSES = ("bag", "boot", "=shirt")


def make_model(folder: Path, **changes) -> ModelInfo:
    """A network that has learned nothing answers like any other; small pictures keep it quick."""
    from backend.engine.bundle import save_bundle
    from backend.engine.models import find_spec
    from backend.engine.network import create_network

    network = create_network(
        find_spec("timm:resnet10t"), num_classes=3, settings=Settings(offline=True), seed=3, input_size=64
    )
    fields = {
        "model_id": folder.name, "dataset_id": "ds-1", "name": "timm:resnet10t", "timm_name": "resnet10t",
        "strategy": "probe", "weights": "scratch", "class_names": CLASSES, "accuracy": 0.5, "macro_f1": 0.5,
        "preprocessing": Preprocessing(height=64, width=64, mean=network.mean, std=network.std), "metrics": {},
        "dataset_digest": "0" * 64, "parameters": 1, "size_mb": 1.0, "versions": {}, "created_at": "2026-01-01",
    }  # fmt: skip
    info = ModelInfo.model_validate({**fields, **changes})
    network.task = info.task
    save_bundle(folder, network, info=info, reference=None)
    return info


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model-1"
    make_model(folder)
    return folder


def picture(seed: int, size=(80, 60)) -> bytes:
    buffer = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def archive(tmp_path) -> Path:
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("day 1/left/a.png", picture(1))
        file.writestr("day 1/torn.jpg", b"\xff\xd8\xff torn")
        file.writestr("=HYPERLINK(1).png", picture(2, (30, 90)))
        file.writestr("notes.txt", "no picture")
        file.writestr("inner.zip", b"PK")
        file.writestr("__MACOSX/._a.png", b"litter")
        file.writestr("z.png", picture(3))
    return path


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "predictions.csv").read_text(encoding="utf-8"))))


def answer(archive: Path, model: Path, tmp_path: Path, control: RunControl | None = None, **options) -> Path:
    target = tmp_path / "answers"
    settings = Settings(offline=True, data_dir=tmp_path, torch_threads=2)
    predict_into(target, model, archive, settings=settings, control=control or RunControl(), **options)
    return target


def test_every_file_is_a_row_in_the_order_of_the_archive(archive, model, tmp_path):
    rows = rows_of(answer(archive, model, tmp_path, asked=BatchQuestion(top_k=2)))
    assert list(rows[0]) == [
        "filename", "predicted", "confidence", "label_1", "confidence_1", "label_2", "confidence_2", "unfamiliar", "error",
    ]  # fmt: skip
    names = [row["filename"] for row in rows]
    assert names == ["day 1/left/a.png", "day 1/torn.jpg", "'=HYPERLINK(1).png", "notes.txt", "z.png", "inner.zip"]
    assert [bool(row["error"]) for row in rows] == [False, True, False, True, False, True]
    assert all(not row["predicted"] and not row["confidence"] for row in rows if row["error"])


def test_the_answers_are_those_of_single_predictions(archive, model, tmp_path):
    from backend.inference.predictor import Predictor

    entries = json.loads((answer(archive, model, tmp_path) / "predictions.json").read_text(encoding="utf-8"))["images"]
    single = Predictor.open(model, settings=Settings(offline=True))
    for place, seed, size in ((0, 1, (80, 60)), (2, 2, (30, 90)), (4, 3, (80, 60))):
        image = Image.open(io.BytesIO(picture(seed, size)))
        expected = single.predict([image])[0].predictions
        assert [one["label"] for one in entries[place]["predictions"]] == [one.label for one in expected]
        assert [one["confidence"] for one in entries[place]["predictions"]] == pytest.approx(
            [one.confidence for one in expected], abs=1e-4
        )


def test_the_json_keeps_names_as_they_are_and_sums_up(archive, model, tmp_path):
    found = json.loads((answer(archive, model, tmp_path) / "predictions.json").read_text(encoding="utf-8"))
    assert found["images"][2]["filename"] == "=HYPERLINK(1).png"
    assert found["model"]["model_id"] == "model-1"
    summary = found["summary"]
    assert (summary["images"], summary["errors"]) == (6, 3)
    assert sum(summary["counts"].values()) == 3
    assert summary["seconds"] > 0


def test_a_spreadsheet_computes_no_cell(archive, model, tmp_path):
    text = (answer(archive, model, tmp_path) / "predictions.csv").read_text(encoding="utf-8")
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]
    assert "'=shirt" in cells


def test_several_labels_stand_in_one_cell_and_in_a_column_each(archive, tmp_path):
    folder = tmp_path / "model-2"
    make_model(folder, task="multilabel", thresholds=(0.0, 0.0, 1.0))
    rows = rows_of(answer(archive, folder, tmp_path))
    assert list(rows[0]) == ["filename", "predicted", "confidence", "bag", "boot", "'=shirt", "unfamiliar", "error"]
    assert rows[0]["predicted"] == "bag;boot"
    assert 0 < float(rows[0]["'=shirt"]) < 1
    entry = json.loads((tmp_path / "answers" / "predictions.json").read_text(encoding="utf-8"))["images"][0]
    assert entry["predicted"] == ["bag", "boot"]
    assert set(entry["labels"]) == set(CLASSES)


def test_other_thresholds_decide_other_labels_of_the_same_probabilities(archive, tmp_path):
    folder = tmp_path / "model-2"
    make_model(folder, task="multilabel", thresholds=(0.0, 0.0, 1.0))
    asked = BatchQuestion(thresholds={"bag": 1.0, "boot": 0.0, "=shirt": 0.0})
    rows = rows_of(answer(archive, folder, tmp_path, asked=asked))
    assert rows[0]["predicted"] == "boot;=shirt"
    told = json.loads((tmp_path / "answers" / "predictions.json").read_text(encoding="utf-8"))
    assert told["model"]["thresholds"] == {"bag": 1.0, "boot": 0.0, "=shirt": 0.0}
    assert told["images"][0]["predicted"] == ["boot", "=shirt"]


def test_progress_is_told_and_cancelling_leaves_nothing(archive, model, tmp_path, monkeypatch):
    reports = []
    answer(archive, model, tmp_path, RunControl(report=reports.append))
    assert reports[-1].message.startswith("5 of 6 pictures, ")
    assert 0 < reports[-1].progress <= 1
    (tmp_path / "answers").rename(tmp_path / "before")
    with pytest.raises(JobCancelled):
        answer(archive, model, tmp_path, RunControl(cancelled=lambda: True))
    assert not (tmp_path / "answers").exists()
    assert not list(tmp_path.glob(".tmp-*"))


def test_no_more_than_a_few_batches_are_in_memory(model, tmp_path):
    import threading
    from concurrent.futures import ThreadPoolExecutor
    from types import SimpleNamespace

    alive, most, lock = 0, 0, threading.Lock()

    def decode(member, data):
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return "decoded"

    source = SimpleNamespace(members=range(500), shared_reader=object())
    with ThreadPoolExecutor(4) as pool:
        for _ in predict_batch._decoded(source, decode, pool, window=20):
            with lock:
                alive -= 1
    assert most <= 21


def test_a_tar_and_a_folder_are_answered_too(model, tmp_path):
    import tarfile

    folder = tmp_path / "shots"
    folder.mkdir()
    (folder / "a.png").write_bytes(picture(1))
    with tarfile.open(tmp_path / "shots.tar", "w") as file:
        file.add(folder / "a.png", "shots/a.png")
    of_folder = rows_of(answer(folder, model, tmp_path))
    assert rows_of(answer(tmp_path / "shots.tar", model, tmp_path)) == of_folder
    assert of_folder[0]["filename"] == "shots/a.png"


def test_what_is_unsafe_or_empty_is_refused_before_a_job_is_made(tmp_path):
    settings = Settings(data_dir=tmp_path)
    path = tmp_path / "a.zip"
    for name in ("../../etc/passwd", None):
        with zipfile.ZipFile(path, "w") as file:
            if name:
                file.writestr(name, "x")
        with pytest.raises(ArchiveError):
            check_archive(path, settings)


@pytest.fixture
def service(tmp_path, database):
    """The folders and rows that a job finds in a service, with a model in it."""
    from backend.storage.catalog import Catalog

    settings = Settings(
        offline=True,
        data_dir=tmp_path / "data",
        database_url=database.url.render_as_string(hide_password=False),
        torch_threads=1,
    )
    info = make_model(settings.models_dir / "model-1", job_id="job-train")
    _publish(Catalog(database), info)
    return settings


def _publish(catalog, info):
    from service_fakes import results_record

    catalog.publish(results_record("job-train", dataset_id="ds-1", model_id=info.model_id), info)


def job_for(settings, archive) -> Job:
    upload = UploadStore(settings.uploads_dir, expire_h=1).take_in(archive, filename="pictures.zip")
    payload = {"upload": upload.upload_id, "model_id": "model-1", "top_k": 1}
    return Job(job_id="job-batch", kind=predict_batch.JOB_KIND, payload=payload)


def test_a_job_keeps_its_table_and_lets_the_upload_go(service, archive):
    service.uploads_dir.mkdir(parents=True)
    job = job_for(service, archive)
    said = run_job(job, control=RunControl(), settings=service)
    assert said.startswith("3 of 6 pictures answered at ")
    assert "3 could not be read" in said
    done = job.model_copy(update={"state": "succeeded"})
    path, media_type = result_file(service, done, format="csv")
    assert (path.name, media_type) == ("predictions.csv", "text/csv; charset=utf-8")
    assert not list(service.uploads_dir.glob("up-*.part"))
    assert run_job(job, control=RunControl(), settings=service) == "Done."  # started twice: the first one's table stays
    assert archive.is_file()


def test_a_table_that_is_not_there_says_why(tmp_path):
    settings = Settings(data_dir=tmp_path)
    job = Job(job_id="job-batch", kind=predict_batch.JOB_KIND)
    for state in ("queued", "running", "failed", "succeeded"):
        with pytest.raises(NotFoundError, match=r"queued|running|failed|gone"):
            result_file(settings, job.model_copy(update={"state": state}), format="csv")
    with pytest.raises(InputError, match="csv, json"):
        result_file(settings, job, format="xlsx")
    with pytest.raises(InputError, match="train_images"):
        result_file(settings, job.model_copy(update={"kind": "train_images"}), format="csv")
