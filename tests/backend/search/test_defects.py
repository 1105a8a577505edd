"""Preset defects the whole way: strips with several labels in, a network with attention out that opens without us."""

from __future__ import annotations

import csv
import io
import zipfile

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from backend.contracts import Recipe, RunControl
from backend.data import open_dataset
from backend.data.manifest import load_dataset
from backend.engine.bundle import load_bundle
from backend.engine.cbam import Cbam
from backend.engine.features import predict_probabilities
from backend.engine.label_metrics import binary_log_loss
from backend.inference.explainers import heatmap
from backend.inference.exporters import standalone
from backend.inference.exporters.onnx_graph import build_graph
from backend.inference.predictor import Predictor
from backend.search.compare import Run, compare
from backend.search.study import open_study

WIDTH, HEIGHT = 150, 40  # neither is a multiple of 32


def strip(random, labels):
    """Grey noise; a scratch is a bright line, a spot a dark square. A few pixels of six thousand."""
    pixels = random.integers(90, 130, (HEIGHT, WIDTH), dtype=np.uint8)
    x, y = int(random.integers(10, WIDTH - 20)), int(random.integers(8, HEIGHT - 12))
    if "scratch" in labels:
        pixels[y, x : x + 12] = 255
    if "spot" in labels:
        pixels[y + 3 : y + 8, x - 6 : x - 1] = 0
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    random = np.random.default_rng(5)
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["filename", "scratch", "spot"])
    path = tmp_path_factory.mktemp("strips") / "strips.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for place in range(48):
            labels = [name for bit, name in enumerate(("scratch", "spot")) if place >> bit & 1]
            name = f"{place // 8}_{place:03d}.png"
            rows.writerow([name, int("scratch" in labels), int("spot" in labels)])
            file = io.BytesIO()
            strip(random, labels).save(file, "PNG")
            packed.writestr(f"images/{name}", file.getvalue())
        packed.writestr("labels.csv", table.getvalue())
    return path


@pytest.fixture(scope="module")
def outcome(archive, tmp_path_factory):
    from backend.config import Settings

    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), offline=True, mlflow_tracking_uri="off")
    dataset = open_dataset(archive, into=settings.datasets_dir, settings=settings)
    recipe = Recipe(
        dataset_id=dataset.info.dataset_id,
        preset="defects",
        num_epochs=2,
        batch_size=8,
        overrides={"refine.views": 3, "loss.type": "focal", "loss.alpha": "dynamic", "augment.vertical_flip": False},
    )
    checkpoints = tmp_path_factory.mktemp("run") / "checkpoints"
    run = Run(settings=settings, model_id="model-test", checkpoints=checkpoints)
    return compare(dataset, recipe, run=run), settings, checkpoints


def test_the_preset_trains_what_it_says(outcome):
    results = outcome[0].results
    row = next(row for row in results.leaderboard if row.strategy == "finetune")
    assert row.status == "ok"
    assert row.name == "efficientnet_lite0_cbam"  # no weights of ConvNeXt-Tiny here
    assert any("convnext_tiny" in note and "took its place" in note for note in results.notes)
    assert 0 < row.trainable_parameters < row.parameters
    assert results.task == "multilabel"


def test_the_results_say_how_it_was_trained(outcome):
    results = outcome[0].results
    experiment = results.experiment
    row = next(row for row in results.leaderboard if row.strategy == "finetune")
    assert results.best_model.name == experiment.network == "efficientnet_lite0_cbam"
    assert experiment.loss == {
        "type": "focal",
        "alpha": "dynamic",
        "gamma": 2.0,
        "label_smoothing": 0.0,
        "balanced": False,
    }
    best = max(results.history[experiment.network], key=lambda record: (record.val_macro_f1, -record.val_loss))
    assert experiment.best_epoch == best.epoch
    assert experiment.at_best_epoch["val_macro_f1"] == best.val_macro_f1
    assert experiment.best_validation["macro_f1"] == row.val_macro_f1
    assert (experiment.parameters, experiment.trainable_parameters) == (row.parameters, row.trainable_parameters)
    assert results.recipe["augmentations"] == ["horizontal_flip"]  # the preset's other one was switched off


def test_the_best_epoch_s_weights_are_the_saved_model_s(outcome):
    comparison, _, checkpoints = outcome
    experiment = comparison.results.experiment
    [file] = (checkpoints / experiment.network).iterdir()
    score = experiment.at_best_epoch["val_macro_f1"]
    assert file.name == f"best_model_epoch{experiment.best_epoch}_f1_{score:.4f}.pt"
    assert experiment.checkpoint == file.name
    kept = torch.load(file, weights_only=True)
    saved = torch.load(comparison.folder / "model.pth", weights_only=True)["state_dict"]
    assert kept.keys() == saved.keys()  # the stages before stride 8 too, which did not train
    body = [name for name in kept if not name.startswith("classifier.")]  # the saved head has its temperature in it
    assert len(body) == len(kept) - 2
    assert all(torch.equal(kept[name], saved[name]) for name in body)
    assert not torch.equal(kept["classifier.weight"], saved["classifier.weight"])


def test_the_best_epoch_lies_in_the_model_s_folder_too(outcome):
    """So that a service and a Ray node leave it as a run on the command line does."""
    comparison, _, checkpoints = outcome
    [file] = (checkpoints / "efficientnet_lite0_cbam").iterdir()
    [beside] = (comparison.folder / "checkpoints").iterdir()
    assert beside.name == file.name
    own, other = (torch.load(path, weights_only=True) for path in (file, beside))
    assert own.keys() == other.keys()
    assert all(torch.equal(own[name], other[name]) for name in own)


def test_what_was_calibrated_are_the_answers_that_the_saved_weights_give(outcome):
    """In float32, as they are served; training saw its validation images in bfloat16, where the processor has it."""
    comparison, settings, checkpoints = outcome
    results = comparison.results
    recipe = Recipe.model_validate(results.recipe)
    dataset = load_dataset(settings.datasets_dir / recipe.dataset_id)
    study = open_study(dataset, recipe, settings=settings, control=RunControl())
    network = load_bundle(comparison.folder, settings=settings).network
    [file] = (checkpoints / results.experiment.network).iterdir()
    network.module.load_state_dict(torch.load(file, weights_only=True))
    how = results.preprocessing
    found = predict_probabilities(network, study.images(how), preprocessing=how, places=study.val)
    loss = binary_log_loss(found, study.targets[study.val])
    assert results.calibration.log_loss_before == pytest.approx(loss, rel=1e-4)


def test_the_strips_are_seen_as_they_are(outcome):
    how = outcome[0].results.preprocessing
    assert (how.width, how.height, how.resize, how.smallest_defect_px) == (160, 64, "pad", 4)


def test_the_saved_model_has_its_attention_and_answers_alike_everywhere(outcome, archive):
    folder, settings = outcome[0].folder, outcome[1]
    bundle = load_bundle(folder, settings=settings)
    assert sum(isinstance(part, Cbam) for part in bundle.network.module.modules()) == 2
    assert bundle.network.model_args == {"global_pool": "max"}
    with zipfile.ZipFile(archive) as packed:
        pictures = [Image.open(io.BytesIO(packed.read(f"images/{n // 8}_{n:03d}.png"))) for n in (1, 2, 3)]
    found = Predictor(bundle).probabilities(pictures)
    assert found.shape == (3, 2)
    alone = standalone.load(folder / "model.pth")
    checkpoint = torch.load(folder / "model.pth", weights_only=True)
    assert checkpoint["cbam"] == ["blocks.4.cbam", "blocks.6.cbam"]
    member = alone.members[0]
    with torch.inference_mode():
        scores = [
            member.network(standalone.prepare(standalone.upright_rgb(picture), member.preprocessing))
            for picture in pictures
        ]
    np.testing.assert_allclose(torch.cat(scores).sigmoid().numpy(), found, atol=1e-4)


def test_the_onnx_file_answers_alike(outcome, archive):
    bundle = load_bundle(outcome[0].folder, settings=outcome[1])
    with zipfile.ZipFile(archive) as packed:
        pictures = [Image.open(io.BytesIO(packed.read(f"images/0_00{n}.png"))) for n in (1, 2)]
    session = onnxruntime.InferenceSession(build_graph(bundle).SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = np.stack([np.array(picture.convert("RGB")) for picture in pictures])
    [found] = session.run(None, {"images": pixels})
    np.testing.assert_allclose(found, Predictor(bundle).probabilities(pictures), atol=1e-3)


def test_a_heat_map_has_the_strips_own_shape(outcome, archive):
    bundle = load_bundle(outcome[0].folder, settings=outcome[1])
    with zipfile.ZipFile(archive) as packed:
        picture = Image.open(io.BytesIO(packed.read("images/0_001.png")))
    heat = heatmap(bundle, picture, "scratch")
    assert heat.shape == (HEIGHT, WIDTH)
    assert 0 <= heat.min() <= heat.max() <= 1
