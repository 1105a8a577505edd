"""Scoring a saved model on labelled pictures: which labels, which folder, what is written."""

import importlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from backend.contracts import ModelInfo, Preprocessing, RunControl
from backend.errors import DatasetError, JobCancelled, NotFoundError
from backend.workflows.evaluate import evaluate_folder, find_model

NAMES = ("circle", "cross", "square")
HALF = (0.5, 0.5, 0.5)


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "run" / "models" / "model-1"
    folder.mkdir(parents=True)
    info = ModelInfo(
        model_id="model-1",
        dataset_id="ds-1",
        name="lite0",
        timm_name="tf_efficientnet_lite0",
        strategy="probe",
        weights="imagenet",
        class_names=NAMES,
        preprocessing=Preprocessing(height=32, width=32, mean=HALF, std=HALF),
        accuracy=0.9,
        macro_f1=0.9,
        metrics={},
        dataset_digest="d",
        parameters=1,
        size_mb=1.0,
        versions={},
        created_at="2026-01-01T00:00:00Z",
    )
    (folder / "model.json").write_text(info.model_dump_json())
    return SimpleNamespace(folder=folder, info=info)


@pytest.fixture
def answering(monkeypatch, model):
    """Puts a predictor in place that answers each picture with a chosen class; counts how it is asked."""
    predicting = importlib.import_module("backend.inference.predictor")  # torch: only who needs it pays

    def install(choose):
        asked = []

        def probabilities(pictures):
            assert all(isinstance(picture, Image.Image) and picture.mode == "RGB" for picture in pictures)
            asked.append(len(pictures))
            return np.eye(len(NAMES))[[choose(picture) for picture in pictures]]

        stand_in = SimpleNamespace(
            class_names=NAMES, bundle=SimpleNamespace(info=model.info), probabilities=probabilities
        )
        monkeypatch.setattr(predicting.Predictor, "open", lambda folder, settings: stand_in)
        return asked

    return install


def test_scores_follow_the_labels_of_the_pictures(answering, model, make_zip, settings):
    asked = answering(lambda picture: 2)
    outcome = evaluate_folder(model.folder, make_zip({"circle": 10, "square": 30}), settings=settings)
    assert outcome.total_images == sum(asked) == 40
    assert outcome.evaluation.test.accuracy == 0.75
    assert outcome.evaluation.confusion_matrix.matrix == ((0, 0, 10), (0, 0, 0), (0, 0, 30))
    assert [score.support for score in outcome.evaluation.per_class] == [10, 0, 30]


def test_pictures_are_decoded_a_batch_at_a_time_and_progress_is_told(answering, model, make_zip, settings):
    asked = answering(lambda picture: 0)
    seen = []
    control = RunControl(report=seen.append)
    evaluate_folder(model.folder, make_zip({"circle": 20, "square": 20}), settings=settings, control=control)
    assert asked == [32, 8]
    assert [report.progress for report in seen if report.stage == "evaluating"] == [0.8, 1.0]


def test_an_evaluation_can_be_cancelled(answering, model, make_zip, settings):
    asked = answering(lambda picture: 0)
    control = RunControl(cancelled=lambda: True)
    with pytest.raises(JobCancelled):
        evaluate_folder(model.folder, make_zip({"circle": 3, "square": 3}), settings=settings, control=control)
    assert asked == []


def test_a_label_that_the_model_does_not_know_is_refused_by_name(answering, model, make_zip, settings):
    answering(lambda picture: 0)
    with pytest.raises(DatasetError) as refused:
        evaluate_folder(model.folder, make_zip({"circle": 3, "squares": 3}), settings=settings)
    assert "'squares'" in refused.value.detail
    assert "Did you mean 'square'?" in refused.value.detail
    assert "circle, cross, square" in refused.value.detail


def test_the_report_is_json_and_the_matrix_a_picture(answering, model, make_zip, settings, tmp_path):
    answering(lambda picture: 2)
    outcome = evaluate_folder(model.folder, make_zip({"circle": 3, "square": 3}), settings=settings)
    report = outcome.as_json()
    assert report["model"]["model_id"] == "model-1"
    assert report["test"]["accuracy"] == 0.5
    assert [row["label"] for row in report["per_class"]] == list(NAMES)
    outcome.draw(tmp_path / "matrix.png")
    with Image.open(tmp_path / "matrix.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300


@pytest.mark.parametrize("below", ["models/model-1", "models", "", "models/model-1/model.pth"])
def test_a_model_is_found_in_its_folder_or_in_that_of_its_run(model, tmp_path, below):
    (model.folder / "model.pth").write_bytes(b"weights")
    assert find_model(tmp_path / "run" / below) == model.folder


def test_a_folder_without_a_model_says_what_one_holds(tmp_path):
    with pytest.raises(NotFoundError, match=r"holds model\.json and model\.pth"):
        find_model(tmp_path)


def test_two_models_are_not_guessed_between(model, tmp_path):
    other = model.folder.with_name("model-2")
    other.mkdir()
    (other / "model.json").write_text("{}")
    with pytest.raises(NotFoundError, match=r"holds 2 models; name one of them: .*model-1, .*model-2"):
        find_model(tmp_path / "run")
