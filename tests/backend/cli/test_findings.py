"""What is printed of a run beyond its scores."""

from pathlib import Path

import pytest
import service_fakes

from backend.cli import findings
from backend.cli.app import run
from backend.workflows import train_images


def test_what_was_found_is_printed_after_training(monkeypatch, make_zip, tmp_path, capsys):
    def train_archive(archive, options, *, out, settings, control):
        from backend.data import open_dataset

        dataset = open_dataset(archive, into=out / "dataset", settings=settings)
        found = service_fakes.findings()
        suspects = [found["suspect_labels"][0].model_copy(update={"image_id": item.image_id}) for item in dataset.items]
        found |= {"suspect_labels": tuple(suspects), "dataset_id": dataset.info.dataset_id}
        return service_fakes.results_record(**found, notes=("Ranked by accuracy.",)), out / "models" / "md-1"

    monkeypatch.setattr(train_images, "train_archive", train_archive)
    out = tmp_path / "out"
    assert run(["train", str(make_zip({"circle": 3, "square": 3})), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "Answer together: resnet18 (60%), vit_tiny (40%)." in said
    assert "The largest class has 7.0 times the images of the smallest: every class counted alike" in said
    assert "Confidence: lowered to what holds, judged by 60 images" in said
    assert "calibration error 10.0% to 2.0%, log-loss 0.500 to 0.400" in said
    assert "80.0% with 30. More pictures would probably help." in said
    assert "Note: Ranked by accuracy." in said
    assert "6 labels may not fit their pictures; nothing was changed." in said
    named = [line.split(":")[0].strip() for line in said.splitlines() if "labelled circle" in line]
    assert len(named) == 5
    assert all(Path(name).is_file() for name in named)
    assert "and 1 more in suspect_labels" in said


def test_an_older_run_prints_nothing_that_it_never_found():
    assert list(findings.lines(service_fakes.results_record().model_dump(mode="json"), paths={})) == []


def test_confidence_that_needed_no_correction_says_so():
    plain = service_fakes.results_record(**service_fakes.findings()).model_dump(mode="json")
    plain["calibration"]["temperature"] = 0.97
    assert any("needed hardly any correction" in line for line in findings.lines(plain, paths={}))


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ((400, 380, 1), "Features: 380 of 400 images were known from earlier runs and were not computed again."),
        ((3200, 2800, 8), "2,800 of 3,200 images were known from earlier runs and were not computed again, an image"),
        ((400, 0, 1), "Features: those of 400 images were computed in this run; the next run reads them."),
    ],
)
def test_what_was_reused_of_earlier_runs_is_said(use, words):
    features = dict(zip(("images", "at_hand", "networks"), use, strict=True))
    plain = service_fakes.results_record(features=features).model_dump(mode="json")
    assert [line for line in findings.lines(plain, paths={}) if words in line]


SCORE = {"test_images": 40, "leaked": 8, "accuracy": 0.9, "accuracy_without": 0.75}


@pytest.mark.parametrize(
    ("leak", "words"),
    [
        (
            {"images": 20, "groups": 9, "own": SCORE},
            ["8 of 40 test images", "folders of your upload", "90.0%", "75.0%"],
        ),
        ({"images": 20, "groups": 9, "by_chance": SCORE}, ["20 images", "on one side", "8 of 40", "75.0% without"]),
        ({"images": 20, "groups": 9}, ["do not flatter the score."]),
    ],
)
def test_copies_and_their_worth_are_said(leak, words):
    plain = service_fakes.results_record().model_dump(mode="json") | {"leak": leak}
    [said] = [line for line in findings.lines(plain, paths={}) if line.startswith("Copies")]
    assert all(word in said for word in words), said
