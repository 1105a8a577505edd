from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.contracts import Candidate, Preprocessing, Recipe, RunControl
from backend.data import open_dataset
from backend.engine.models import find_spec
from backend.engine.network import create_network
from backend.inference.predictor import Predictor
from backend.search.report import read_test
from backend.search.save import save_winner
from backend.search.study import open_study
from backend.search.trial import TrainedModel, Trial

NAMES = ("timm:test_efficientnet", "timm:test_vit2")
WEIGHTS = (0.65, 0.35)


@pytest.fixture
def study(make_zip, settings):
    dataset = open_dataset(make_zip({"circle": 12, "square": 12}), into=settings.datasets_dir, settings=settings)
    return open_study(dataset, Recipe(dataset_id=dataset.info.dataset_id), settings=settings, control=RunControl())


def trained(study, name, *, seed):
    """A network with its own way to see pictures, and answers that it might have given."""
    network = create_network(find_spec(name), num_classes=2, settings=study.settings, seed=seed)
    side = network.input_size
    random = np.random.default_rng(seed)

    def answers(count):
        share = random.random((count, 1))
        return np.hstack([share, 1 - share])

    return Trial(
        candidate=Candidate(name=name, family="timm", timm_name=network.spec.timm_name),
        strategy="probe",
        held_out=answers(len(study.ranking)),
        test_probabilities=answers(len(study.test)),
        size_mb=1.0,
        parameters=1000,
        model=TrainedModel(
            network=network,
            preprocessing=Preprocessing(height=side, width=side, mean=(0.5,) * 3, std=(0.1 + 0.2 * seed,) * 3),
            features=random.normal(size=(len(study.dataset.items), 8)).astype(np.float32),
        ),
    )


@pytest.fixture
def ensemble(study):
    members = tuple(zip([trained(study, name, seed=seed) for seed, name in enumerate(NAMES)], WEIGHTS, strict=True))
    leader = members[0][0]
    return replace(
        leader,
        candidate=leader.candidate.model_copy(update={"name": "ensemble"}),
        strategy="ensemble",
        parameters=2000,
        model=None,
        members=members,
    )


def saved(study, winner, folder):
    reading = read_test(study, [winner], winner, places=study.ranking)
    return save_winner(folder, study, winner, reading=reading, ids=("model-1", "job-1"))


def test_an_ensemble_is_saved_with_every_member_and_answers_as_their_average(study, ensemble, settings, tmp_path):
    info = saved(study, ensemble, tmp_path / "model-1")
    assert [(one.name, one.weight) for one in info.members] == list(zip(NAMES, WEIGHTS, strict=True))
    assert (info.name, info.strategy, info.parameters) == ("ensemble", "ensemble", 2000)
    assert info.timm_name == "test_efficientnet"
    assert info.preprocessing == ensemble.members[0][0].model.preprocessing
    pixels = [np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)]
    predictor = Predictor.open(tmp_path / "model-1", settings=settings)
    expected = 0
    for trial, weight in ensemble.members:
        with torch.inference_mode():
            member = next(one for one in predictor.bundle.members if one.name == trial.candidate.name)
            scores = trial.model.network.module(predictor.prepare(pixels, member=member))
        expected = expected + weight * scores.double().softmax(1).numpy()
    np.testing.assert_allclose(predictor.probabilities(pixels), expected, atol=1e-6)


def test_the_reference_is_of_the_leading_member_s_features(study, ensemble, settings, tmp_path):
    saved(study, ensemble, tmp_path / "model-1")
    reference = Predictor.open(tmp_path / "model-1", settings=settings).bundle.reference
    features = ensemble.members[0][0].model.features[np.sort(study.learnable)]
    expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(reference.features, expected, atol=1e-3)


def test_a_single_winner_has_no_members(study, settings, tmp_path):
    info = saved(study, trained(study, NAMES[0], seed=0), tmp_path / "model-1")
    assert info.members == ()
    assert sum(band["images"] for band in info.metrics["reliability"]) == len(study.test)
    assert info.metrics["familiarity"]["measured_on"] == len(study.learnable)
    assert Predictor.open(tmp_path / "model-1", settings=settings).bundle.members == ()


def test_a_member_without_its_network_is_named_and_nothing_is_written(study, ensemble, tmp_path):
    (first, share), (second, rest) = ensemble.members
    broken = replace(ensemble, members=((first, share), (second.without_model(), rest)))
    with pytest.raises(ValueError, match="timm:test_vit2"):
        saved(study, broken, tmp_path / "model-1")
    assert not (tmp_path / "model-1").exists()


def test_a_run_again_replaces_what_the_first_attempt_left(study, ensemble, settings, tmp_path):
    saved(study, trained(study, NAMES[0], seed=0), tmp_path / "model-1")
    half = tmp_path / ".tmp-0123456789-model-1"  # killed while it was writing
    half.mkdir()
    saved(study, ensemble, tmp_path / "model-1")
    assert not half.exists()
    assert len(Predictor.open(tmp_path / "model-1", settings=settings).bundle.members) == 2
