"""One picture on the command line: what is printed of its answer, its neighbours and its heat map."""

from __future__ import annotations

import base64
import json

import pytest
import service_fakes
from PIL import Image

from backend.cli.app import run
from backend.contracts import LabelConfidence, ModelRef, Prediction, SimilarImage


@pytest.fixture
def ask(monkeypatch, tmp_path, capsys):
    """Run `predict` on one picture with a model that answers as told; returns what was printed."""
    picture = tmp_path / "cat.png"
    Image.new("RGB", (8, 8), "white").save(picture)
    monkeypatch.setattr("backend.workflows.evaluate.find_model", lambda model: model)

    def asked(*options, verdict="evidence", unfamiliar=False):
        def answer(settings, folder, image, *, top_k, explain):
            test = service_fakes.explanation("circle", verdict=verdict)
            return Prediction(
                predictions=(LabelConfidence(label="circle", confidence=0.7),),
                model=ModelRef(model_id="model-1", name="resnet18", accuracy=0.9),
                unfamiliar=unfamiliar,
                unfamiliarity=0.9 if unfamiliar else 0.1,
                latency_ms=1.0,
                similar=(SimilarImage(image_id="img-007", label="circle", similarity=0.9311),),
                heatmap_png=test.heatmap_png if explain else None,
                heatmap=test.heatmap if explain else None,
            )

        monkeypatch.setattr("backend.workflows.predict.predict_image", answer)
        assert run(["predict", str(picture), "--model", str(tmp_path / "model-1"), *options]) == 0
        return " ".join(capsys.readouterr().out.split())

    return asked


def test_a_heat_map_says_what_its_test_found(ask, tmp_path):
    printed = ask("--explain", "--out", str(tmp_path))
    assert "50% of the confidence lost without it, 12% without as much elsewhere" in printed
    assert "weak" not in printed
    assert (tmp_path / "cat_heatmap.png").read_bytes().startswith(b"\x89PNG")


def test_a_heat_map_that_fails_is_weak_evidence(ask, tmp_path):
    assert "(weak evidence: 50% of the confidence" in ask("--explain", "--out", str(tmp_path), verdict="weak")


def test_without_a_heat_map_there_is_no_test(ask, tmp_path):
    assert "evidence" not in ask("--out", str(tmp_path))
    assert not (tmp_path / "cat_heatmap.png").exists()


def test_similar_images_are_printed_where_they_are_asked_for(ask):
    assert "most similar training images: circle img-007 0.93" in ask("--similar")
    assert "img-007" not in ask()


def test_an_unfamiliar_picture_is_said(ask):
    assert "(unlike the training images)" in ask(unfamiliar=True)


def test_as_json_the_test_stands_beside_the_file_of_the_heat_map(ask, tmp_path):
    (row,) = json.loads(ask("--explain", "--json", "--out", str(tmp_path)))
    assert row["heatmap"].endswith("cat_heatmap.png")
    assert row["evidence"] == {"label": "circle", "score": 0.5, "random": 0.125, "verdict": "evidence"}
    assert row["similar"][0]["image_id"] == "img-007"
    assert (
        base64.b64decode(service_fakes.explanation("circle").heatmap_png) == (tmp_path / "cat_heatmap.png").read_bytes()
    )
