"""Several networks that answer together: in the service, in its heat maps, and in what a person takes home."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from backend.contracts import Preprocessing
from backend.data.images import open_image
from backend.inference.exporters import export
from backend.inference.model_cache import ModelCache
from backend.inference.predictor import Predictor

WEIGHTS = (0.6, 0.4)

# A stranger with torch, timm and Pillow only: predict.py, and the average of the members worked out without it.
STRANGER = """
import importlib.abc, json, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"backend", "frontend", "pydantic", "pytorch_grad_cam", "mlflow"}:
            raise ModuleNotFoundError(f"{name} is not on this machine")

sys.meta_path.insert(0, Absent())
sys.path.insert(0, ".")
import predict, timm, torch
torch.set_num_threads(1)

ckpt = torch.load("model.pth", weights_only=True)
model = predict.load("model.pth")
answers = []
for path in sys.argv[1:]:
    image = predict.upright_rgb(predict.Image.open(path))
    average = torch.zeros(len(ckpt["class_names"]), dtype=torch.float64)
    for part in ckpt["members"]:
        net = timm.create_model(part["timm_name"], num_classes=len(average), **part["model_args"])
        net.load_state_dict(part["state_dict"])
        with torch.inference_mode():
            scores = net.eval()(predict.prepare(image, part["preprocessing"]))
        average += part["weight"] * scores[0].double().softmax(0)
    answers.append({"script": dict(model.predict(path, 3)), "average": dict(zip(ckpt["class_names"], average.tolist()))})
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def folder(saved: Path, settings, tmp_path_factory) -> Path:
    """The saved Lite0 together with a random network that is fed other pictures: so it has other opinions."""
    from backend.engine.bundle import load_bundle, save_bundle
    from backend.engine.members import Member
    from backend.engine.models import find_spec
    from backend.engine.network import create_network

    leader = load_bundle(saved, settings=settings)
    small = Preprocessing(height=96, width=96, resize="squash", mean=(0.4,) * 3, std=(0.3,) * 3)
    spec = find_spec("timm:test_efficientnet")
    other = create_network(spec, num_classes=3, settings=settings, seed=3, input_size=96)
    other.head.weight.data.mul_(20)
    members = (
        Member(
            name=leader.info.name,
            network=leader.network,
            preprocessing=leader.info.preprocessing,
            weight=WEIGHTS[0],
        ),
        Member(name=spec.name, network=other, preprocessing=small, weight=WEIGHTS[1]),
    )
    info = leader.info.model_copy(
        update={
            "name": "ensemble",
            "strategy": "ensemble",
            "members": tuple(member.described() for member in members),
        }
    )
    folder = tmp_path_factory.mktemp("models") / "model-9"
    save_bundle(folder, leader.network, info=info, reference=leader.reference, members=members)
    return folder


@pytest.fixture(scope="module")
def ensemble(folder: Path, settings) -> Predictor:
    return Predictor.open(folder, settings=settings)


@pytest.fixture
def pictures(picture):
    return [picture(label, seed=700 + seed, size=(80 + 20 * seed, 90)) for seed, label in enumerate(["disc", "square"])]


def alone(ensemble: Predictor, place: int) -> Predictor:
    """One of the members as a model of its own."""
    from backend.engine.bundle import Bundle

    member = ensemble.bundle.members[place]
    info = ensemble.info.model_copy(update={"preprocessing": member.preprocessing, "members": ()})
    return Predictor(Bundle(info=info, network=member.network, reference=None))


def test_the_answer_is_the_weighted_average_of_what_each_member_says_of_its_own_input(ensemble, pictures) -> None:
    first, second = (alone(ensemble, place).probabilities(pictures) for place in (0, 1))
    assert np.abs(first - second).max() > 0.2
    together = ensemble.probabilities(pictures)
    np.testing.assert_allclose(together, WEIGHTS[0] * first + WEIGHTS[1] * second, atol=1e-7)
    np.testing.assert_allclose(together.sum(axis=1), 1.0)


def test_familiar_and_similar_is_what_the_leading_network_finds_so(ensemble, predictor, pictures) -> None:
    for ours, leader in zip(ensemble.predict(pictures), predictor.predict(pictures), strict=True):
        assert ours.unfamiliarity == pytest.approx(leader.unfamiliarity, abs=1e-6)
        assert [one.image_id for one in ours.similar] == [one.image_id for one in leader.similar]
        assert ours.model.name == "ensemble"


def test_no_pictures_give_no_answers(ensemble) -> None:
    assert ensemble.probabilities([]).shape == (0, 3)


def test_the_heat_map_is_the_leading_network_s_for_what_all_say_together(ensemble, pictures) -> None:
    from dataclasses import replace

    from backend.engine.members import Member
    from backend.inference.explainers import heatmap

    # a second network that is sure of the class that the leading one thinks least likely, and outweighs it
    leader, other = ensemble.bundle.members
    contrary = copy.deepcopy(other.network)
    least = int(alone(ensemble, 0).probabilities(pictures[:1])[0].argmin())
    contrary.head.weight.data.zero_()
    contrary.head.bias.data.copy_(contrary.head.bias.new_tensor([9.0 if place == least else 0.0 for place in range(3)]))
    members = (
        replace(leader, weight=0.3),
        Member(name="contrary", network=contrary, preprocessing=other.preprocessing, weight=0.7),
    )
    bundle = replace(ensemble.bundle, members=members)
    drawn = heatmap(bundle, pictures[0])
    single = alone(ensemble, 0).bundle
    np.testing.assert_allclose(drawn, heatmap(single, pictures[0], ensemble.class_names[least]), atol=1e-5)


def test_the_cache_counts_the_memory_of_every_member(folder, saved, settings, tmp_path) -> None:
    both = Predictor.open(folder, settings=settings).size
    leader = Predictor.open(saved, settings=settings).size
    other = Predictor.open(folder, settings=settings).bundle.members[1].network.module
    assert both == leader + sum(tensor.numel() * tensor.element_size() for tensor in other.state_dict().values())
    cache = ModelCache(settings)
    assert cache.get(folder).probabilities([]).shape == (0, 3)


@pytest.mark.acceptance
def test_a_stranger_s_predict_py_gives_the_average_of_the_members(folder, ensemble, pictures, tmp_path) -> None:
    with zipfile.ZipFile(export(folder, "bundle").path) as archive:
        archive.extractall(tmp_path / "unpacked")
    paths = []
    for place, image in enumerate(pictures):
        paths.append(tmp_path / f"{place}.png")
        image.save(paths[-1])
    command = [sys.executable, "-c", STRANGER, *map(str, paths)]
    ran = subprocess.run(command, cwd=tmp_path / "unpacked", capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    ours = ensemble.probabilities([open_image(path, max_pixels=10**7) for path in paths])
    for row, theirs in zip(ours, json.loads(ran.stdout), strict=True):
        assert theirs["script"] == pytest.approx(theirs["average"], abs=1e-6)
        assert theirs["script"] == pytest.approx(dict(zip(ensemble.class_names, row, strict=True)), abs=1e-3)


def test_the_readme_says_plainly_that_several_networks_answer(folder, saved, tmp_path) -> None:
    texts = []
    for place in (folder, saved):
        with zipfile.ZipFile(export(place, "bundle").path) as archive:
            texts.append(archive.read("README.md").decode())
    assert "2 networks that answer together: efficientnet_lite0 (60%), timm:test_efficientnet (40%)" in texts[0]
    assert "its answers are not those of all together" in texts[0]
    assert "answer together" not in texts[1]


def test_an_ensemble_is_scored_by_all_its_members(folder, ensemble, picture, settings, tmp_path) -> None:
    from backend.workflows.evaluate import evaluate_folder

    for label in ensemble.class_names:
        (tmp_path / "data" / label).mkdir(parents=True)
        for seed in range(3):
            picture(label, seed=900 + seed).save(tmp_path / "data" / label / f"{seed}.png")
    found = evaluate_folder(folder, tmp_path / "data", settings=settings)
    images, truth = [], []
    for place, label in enumerate(ensemble.class_names):
        for seed in range(3):
            images.append(open_image(tmp_path / "data" / label / f"{seed}.png", max_pixels=10**7))
            truth.append(place)
    ours = ensemble.probabilities(images)
    assert found.total_images == 9
    expected = -np.log(ours[np.arange(9), truth]).mean()
    assert found.evaluation.test.log_loss == pytest.approx(expected, rel=1e-3)
