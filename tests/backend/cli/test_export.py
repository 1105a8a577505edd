import json
import shutil

import pytest

from backend.cli.app import run
from backend.contracts import ParityReport
from backend.inference.exporters.formats import FORMATS


@pytest.fixture
def quick(monkeypatch):
    """Converting takes seconds; here it is a file that says so, with a report beside it."""
    import dataclasses

    report = ParityReport(
        images=64, from_dataset=64, agreement=1.0, required=0.995, max_difference=0.0004, mean_difference=0.0001,
        opset=18, onnxruntime="1", torch="2",
    )  # fmt: skip

    def write(folder, subject):
        (folder / "model.onnx").write_bytes(b"graph of " + subject.info.model_id.encode())
        (folder / "parity.json").write_text(report.model_dump_json())

    monkeypatch.setitem(FORMATS, "onnx", dataclasses.replace(FORMATS["onnx"], write=write))


@pytest.fixture
def model(tmp_path):
    from service_fakes import model_info

    folder = tmp_path / "run" / "models" / "md-1"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(model_info("md-1").model_dump_json())
    (folder / "model.pth").write_bytes(b"weights")
    return folder


def test_a_model_is_written_where_it_is_wanted(model, tmp_path, capsys):
    assert run(["export", str(tmp_path / "run"), "--format", "pth", "--output", str(tmp_path / "mine.pth")]) == 0
    assert (tmp_path / "mine.pth").read_bytes() == b"weights"
    assert capsys.readouterr().out.strip() == str(tmp_path / "mine.pth")


def test_into_a_folder_it_comes_under_its_own_name(model, tmp_path):
    target = tmp_path / "shelf"
    target.mkdir()
    assert run(["export", str(model), "--format", "card", "--output", str(target)]) == 0
    (card,) = target.iterdir()
    assert card.name == "resnet18-md-1.html"
    assert card.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_how_well_the_onnx_file_agrees_is_said(model, tmp_path, capsys, quick):
    assert run(["export", str(model), "--format", "onnx", "--output", str(tmp_path / "m.onnx")]) == 0
    assert "On 64 pictures it gave 100.0%" in capsys.readouterr().err
    assert (tmp_path / "m.onnx").read_bytes() == b"graph of md-1"


def test_the_results_of_the_run_stand_in_the_card(model, tmp_path):
    from service_fakes import results_record

    results = results_record("job-1", model_id="md-1")
    (tmp_path / "run" / "results.json").write_text(json.dumps(results.model_dump(mode="json")))
    assert run(["export", str(model), "--format", "card", "--output", str(tmp_path / "c.html")]) == 0
    assert "seed" in (tmp_path / "c.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--format", "onxn"], "onnx"), (["--format", "pth", "--output", "{}/no/such/folder/m.pth"], "")],
)
def test_what_cannot_be_done_is_said_in_one_sentence(model, tmp_path, capsys, arguments, said):
    arguments = [one.format(model / "model.json") for one in arguments]
    assert run(["export", str(model), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.glob("*.pth"))


def test_where_there_is_no_model_that_is_said(tmp_path, capsys):
    assert run(["export", str(tmp_path)]) == 2
    assert "no model" in capsys.readouterr().err
    shutil.rmtree(tmp_path)
