"""A table of many pictures, on the command line: here, and at a service."""

import csv
import io
import json
import shutil
import zipfile

import httpx2
import pytest
import service_fakes
from PIL import Image

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


@pytest.fixture(scope="module")
def of_several(folder, tmp_path_factory):
    """The same network as a model of several labels, both of them always there by its own thresholds."""
    info = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    target = tmp_path_factory.mktemp("several") / "model-1"
    shutil.copytree(folder, target)
    info |= {"task": "multilabel", "thresholds": [0.0, 0.0]}
    (target / "model.json").write_text(json.dumps(info), encoding="utf-8")
    return target


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ([], ["circle", "square"]),
        (["--threshold", "square=1"], ["circle"]),
        (["--threshold", "square=1", "--threshold", "circle=1"], []),
        (["--miss-cost", "1", "--false-alarm-cost", "1e9"], []),
        (["--miss-cost", "1", "--false-alarm-cost", "1e9", "--threshold", "circle=0"], ["circle"]),
    ],
)
def test_a_table_is_decided_by_the_thresholds_that_were_asked_for(of_several, pictures, tmp_path, asked, there):
    target = tmp_path / "result.json"
    assert run(["predict", str(of_several), str(pictures), "--output", str(target), *asked]) == 0
    images = json.loads(target.read_text(encoding="utf-8"))["images"]
    assert [one["predicted"] for one in images if "predicted" in one] == [there] * 3


def test_one_picture_s_table_is_decided_alike(of_several, tmp_path, capsys):
    picture = tmp_path / "a.png"
    Image.new("RGB", (SIDE, SIDE), "white").save(picture)
    command = ["predict", str(of_several), str(picture), "--out", str(tmp_path)]
    assert run(command) == 0
    assert "a.png: circle, square (" in capsys.readouterr().out.replace("square, circle", "circle, square")
    assert run([*command, "--threshold", "square=1", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert {one["label"]: one["present"] for one in row["predictions"]} == {"circle": True, "square": False}
    assert run([*command, "--miss-cost", "1", "--false-alarm-cost", "1e9"]) == 0
    assert "a.png: nothing (" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--threshold", "sqare=0.3"], "Did you mean 'square'?"),
        (["--threshold", "square=3"], "'square=3' is no threshold"),
        (["--miss-cost", "5"], "both miss_cost and false_alarm_cost"),
        (["--miss-cost", "-5", "--false-alarm-cost", "1"], "miss_cost is -5"),
    ],
)
def test_thresholds_that_cannot_be_are_refused(of_several, pictures, capsys, asked, said):
    picture = pictures.with_name("a.png")
    Image.new("RGB", (SIDE, SIDE), "white").save(picture)
    for source in (picture, pictures):
        assert run(["predict", str(of_several), str(source), *asked]) == 2
        printed = capsys.readouterr()
        assert said in printed.err
        assert printed.out == ""


def test_a_model_of_one_class_a_picture_has_no_thresholds(folder, pictures, capsys):
    assert run(["predict", str(folder), str(pictures), "--threshold", "square=0.3"]) == 2
    assert "names one class for each image" in capsys.readouterr().err


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
    costs = ["--miss-cost", "5", "--false-alarm-cost", "1", "--threshold", "crack=0.3"]
    assert run(["predict", "md-1", str(pictures), "--server", "http://there", "--output", str(target), *costs]) == 0
    assert target.read_text() == "filename\na.png\n"
    decided = {"miss_cost": "5.0", "false_alarm_cost": "1.0", "threshold": "crack=0.3"}
    assert asked[0] == ("POST", "/api/cv/predict/md-1/batch", {"top_k": "3", **decided})
    assert asked[-1] == ("GET", "/api/cv/jobs/job-1/download", {"format": "csv"})
    assert "4 answered." in capsys.readouterr().err
