from __future__ import annotations

import json
import shutil

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from backend.contracts import ParityReport
from backend.inference.exporters import Surroundings, export


@pytest.fixture(scope="module")
def session(saved):
    return onnxruntime.InferenceSession(export(saved, "onnx").path)


def test_pictures_of_any_size_and_number_go_in_and_the_service_s_answers_come_out(session, picture, predictor) -> None:
    for size in ((96, 96), (224, 224), (61, 250), (300, 90)):
        pictures = [picture(predictor.class_names[seed % 3], seed=700 + seed, size=size) for seed in range(4)]
        theirs = session.run(["probabilities"], {"images": np.stack([np.asarray(one) for one in pictures])})[0]
        assert theirs.dtype == np.float32
        np.testing.assert_allclose(theirs, predictor.probabilities(pictures), atol=0.01)
        assert theirs.max() > 0.6  # it has learned something, so that agreement means something


def test_the_file_says_what_it_is(session, predictor) -> None:
    said = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(said["class_names"])) == predictor.class_names
    assert said["task"] == "multiclass"
    assert said["activation"] == "softmax"
    assert said["model_id"] == predictor.info.model_id
    report = ParityReport.model_validate_json(said["parity"])
    assert report.images >= 64
    assert report.onnxruntime == onnxruntime.__version__
    assert report.max_difference < 0.01


def test_the_report_says_which_pictures_it_rests_on(saved, tmp_path, picture, monkeypatch) -> None:
    monkeypatch.setattr("backend.inference.exporters.parity.PICTURES", 8)
    folder = tmp_path / "model-1"
    shutil.copytree(saved, folder, ignore=shutil.ignore_patterns("export-*"))
    real = [picture("disc", seed=seed) for seed in range(5)]
    made = export(folder, "onnx", around=Surroundings(pictures=lambda: iter(real)))
    report = json.loads((made.path.parent / "parity.json").read_text())
    assert (report["images"], report["from_dataset"], report["generated"]) == (8, 5, 3)


def test_a_picture_that_is_not_square_is_named_by_its_axes(session) -> None:
    (images,) = session.get_inputs()
    assert images.name == "images"
    assert images.type == "tensor(uint8)"
    assert images.shape == ["batch", "height", "width", 3]
    tall = np.asarray(Image.new("RGB", (10, 50)))
    assert session.run(None, {"images": tall[None]})[0].shape == (1, 3)
