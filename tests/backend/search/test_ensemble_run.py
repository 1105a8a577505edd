"""A whole run whose winner is an ensemble: what the results say is what the saved model answers."""

import numpy as np
import onnxruntime
import pytest
import torch

from backend.contracts import Recipe
from backend.data import open_dataset, stratified_split
from backend.data.pictures import open_picture
from backend.engine.bundle import load_bundle
from backend.inference.exporters import standalone
from backend.inference.exporters.onnx_graph import build_graph
from backend.inference.predictor import Predictor
from backend.search import contest as contest_module
from backend.search.combine import Combination
from backend.search.compare import Run, compare
from backend.storage.answers import read_answers
from tests.backend.search.test_label_run import several_zip

NETWORKS = ("efficientnet_lite0", "timm:test_efficientnet")
WEIGHTS = (0.6, 0.4)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def both(trials, targets, **_):
    """Chance decides on so few pictures whether two are better together: here they are."""
    members = tuple(
        (next(trial for trial in trials if trial.candidate.name == name), weight)
        for name, weight in zip(NETWORKS, WEIGHTS, strict=True)
    )
    truth = targets if targets.ndim == 2 else np.eye(2)[targets]
    return Combination(
        members=members,
        reason="2 networks together.",
        held_out=1e-6 + (1 - 2e-6) * truth,  # ranks first
        test_probabilities=sum(weight * trial.test_probabilities for trial, weight in members),
    )


@pytest.mark.usefixtures("one_thread")
def test_the_saved_ensemble_answers_what_the_results_say(make_zip, settings, monkeypatch):
    monkeypatch.setattr(contest_module, "combine", both)
    dataset = open_dataset(make_zip({"circle": 15, "square": 15}), into=settings.datasets_dir, settings=settings)
    recipe = Recipe(dataset_id=dataset.info.dataset_id, models=NETWORKS, preset="fast", ensemble=True)
    outcome = compare(dataset, recipe, run=Run(settings=settings))
    results = outcome.results
    assert (results.best_model.name, results.best_model.strategy) == ("ensemble", "ensemble")
    assert [(one.name, one.weight) for one in results.best_model.members] == list(zip(NETWORKS, WEIGHTS, strict=True))
    row = next(row for row in results.leaderboard if row.strategy == "ensemble")
    assert (row.rank, row.reason) == (1, "2 networks together.")
    assert results.calibration is not None

    predictor = Predictor.open(outcome.folder, settings=settings)
    places = stratified_split(dataset, test_size=recipe.test_size, seed=recipe.seed).test
    items = [dataset.items[place] for place in places]
    probabilities = predictor.probabilities([open_picture(dataset.root, item.path, max_pixels=10**7) for item in items])
    answers = {one.image_id: one for one in read_answers(outcome.folder).images}
    assert answers.keys() == {item.image_id for item in items}
    for item, one in zip(items, probabilities, strict=True):
        # frozen features come in bfloat16 where the processor has it, serving computes in float32
        assert answers[item.image_id].confidence == pytest.approx(one.max(), abs=0.03)
        assert answers[item.image_id].predicted == dataset.class_names[int(one.argmax())] or one.max() < 0.53


@pytest.mark.usefixtures("one_thread")
def test_several_networks_answer_for_several_labels_together(tmp_path, settings, monkeypatch):
    monkeypatch.setattr(contest_module, "combine", both)
    dataset = open_dataset(several_zip(tmp_path), into=settings.datasets_dir, settings=settings)
    recipe = Recipe(dataset_id=dataset.info.dataset_id, models=NETWORKS, preset="fast", ensemble=True)
    outcome = compare(dataset, recipe, run=Run(settings=settings))
    assert (outcome.results.best_model.strategy, outcome.results.task) == ("ensemble", "multilabel")
    assert len(outcome.model.thresholds) == 2

    answers = read_answers(outcome.folder).images
    items = {item.image_id: item for item in dataset.items}
    pictures = [open_picture(dataset.root, items[one.image_id].path, max_pixels=10**7) for one in answers]
    found = Predictor.open(outcome.folder, settings=settings).probabilities(pictures)
    assert found.shape == (len(answers), 2)
    for one, row in zip(answers, found, strict=True):
        lines = list(zip(dataset.class_names, row, outcome.model.thresholds, strict=True))
        clear = {name for name, p, line in lines if abs(p - line) > 0.03}  # frozen features came in bfloat16
        assert set(one.predicted_labels) & clear == {name for name, p, line in lines if p >= line} & clear

    alone = standalone.load(outcome.folder / "model.pth")
    file = tmp_path / "picture.png"
    pictures[0].save(file)
    assert dict(alone.predict(file)) == pytest.approx(dict(zip(dataset.class_names, found[0], strict=True)), abs=1e-3)
    session = onnxruntime.InferenceSession(
        build_graph(load_bundle(outcome.folder, settings=settings)).SerializeToString(),
        providers=["CPUExecutionProvider"],
    )
    [exported] = session.run(None, {"images": np.stack([np.array(picture.convert("RGB")) for picture in pictures[:3]])})
    np.testing.assert_allclose(exported, found[:3], atol=2e-3)
