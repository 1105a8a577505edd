"""A table of many pictures, on the command line: here, and at a service."""

import csv
import io
import json
import zipfile

import httpx2
import pytest
import service_fakes

from backend.cli import predict_many as module
from backend.cli.app import run
from backend.cli.service import Service
from backend.contracts import Preprocessing

SIDE = 96


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from backend.config import Settings
    from backend.engine.bundle import save_bundle
    from backend.engine.models import find_spec
    from backend.engine.network import create_network

    spec = find_spec("timm:test_efficientnet")  # the smallest that timm has
    network = create_network(spec, num_classes=2, settings=Settings(offline=True), seed=1, input_size=SIDE)
    preprocessing = Preprocessing(height=SIDE, width=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3)
    info = service_fakes.model_info("model-1", timm_name=spec.timm_name, preprocessing=preprocessing)
    target = tmp_path_factory.mktemp("models") / "model-1"
    save_bundle(target, network, info=info, reference=None)
    return target


@pytest.fixture
def pictures(make_zip):
    path = make_zip({"circle": 2, "square": 1})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("torn.png", b"torn")
    return path


def test_a_zip_becomes_a_table(folder, pictures, tmp_path, capsys):
    target = tmp_path / "result.csv"
    assert run(["predict", str(folder), str(pictures), "--output", str(target), "--top-k", "1"]) == 0
    rows = list(csv.DictReader(io.StringIO(target.read_text(encoding="utf-8"))))
    assert len(rows) == 4
    assert [bool(row["error"]) for row in rows] == [False, False, False, True]
    assert {row["predicted"] for row in rows[:3]} <= {"circle", "square"}
    said = capsys.readouterr()
    assert said.out == ""
    assert "3 of 4 pictures answered" in said.err


def test_without_an_output_the_table_goes_to_stdout(folder, pictures, capsys):
    assert run(["predict", str(pictures), "--model", str(folder)]) == 0
    assert len(list(csv.DictReader(io.StringIO(capsys.readouterr().out)))) == 4


def test_the_name_of_the_output_decides_the_format(folder, pictures, tmp_path):
    target = tmp_path / "result.json"
    assert run(["predict", str(folder), str(pictures), "--output", str(target)]) == 0
    assert json.loads(target.read_text(encoding="utf-8"))["summary"]["images"] == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{model}", "{zip}", "--output", "result.xlsx"], ".csv or .json"),
        (["{model}", "no.zip", "--output", "result.csv"], "There is no 'no.zip'"),
        (["{model}", "{zip}", "{zip}", "--output", "result.csv"], "one ZIP, TAR or folder"),
        (["{zip}"], "which model"),
        (["{zip}", "{zip}"], "no model"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(folder, pictures, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(pictures.parent)
    before = set(pictures.parent.iterdir())
    filled = [one.format(model=folder, zip=pictures) for one in arguments]
    assert run(["predict", *filled]) == 2
    assert said in capsys.readouterr().err
    assert set(pictures.parent.iterdir()) == before


def test_a_service_answers(pictures, tmp_path, monkeypatch, capsys):
    asked = []

    def answer(request):
        asked.append((request.method, request.url.path, dict(request.url.params)))
        if request.url.path.endswith("/download"):
            return httpx2.Response(200, content=b"filename\na.png\n")
        job = {"job_id": "job-1", "state": "succeeded", "progress": 1.0, "message": "4 answered.", "candidates": []}
        return httpx2.Response(202 if request.method == "POST" else 200, json=job)

    made = Service("http://there", transport=httpx2.MockTransport(answer))
    monkeypatch.setattr(module, "service_at", lambda *_: made)
    target = tmp_path / "result.csv"
    assert run(["predict", "md-1", str(pictures), "--server", "http://there", "--output", str(target)]) == 0
    assert target.read_text() == "filename\na.png\n"
    assert asked[0] == ("POST", "/api/cv/predict/md-1/batch", {"top_k": "3"})
    assert asked[-1] == ("GET", "/api/cv/jobs/job-1/download", {"format": "csv"})
    assert "4 answered." in capsys.readouterr().err
