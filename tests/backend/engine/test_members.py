from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch

from backend.contracts import Preprocessing
from backend.engine.bundle import load_bundle, save_bundle
from backend.engine.features import predict_probabilities
from backend.engine.members import Member, spec_of
from backend.errors import InputError

# What stays true for whoever knows nothing of members: three lines of torch and timm open the leading network.
THREE_LINES = """
import sys, torch, timm
ckpt = torch.load(sys.argv[1], weights_only=True)
net = timm.create_model(ckpt["timm_name"], num_classes=len(ckpt["class_names"]), **ckpt["model_args"])
net.load_state_dict(ckpt["state_dict"])
print(ckpt["timm_name"], len(ckpt["members"]), sum(one["weight"] for one in ckpt["members"]))
"""


@pytest.fixture
def members(lite0, tiny, preprocessing):
    small = Preprocessing(height=48, width=48, resize="letterbox", mean=(0.4,) * 3, std=(0.3,) * 3)
    return (
        Member(name="efficientnet_lite0", network=lite0, preprocessing=preprocessing, weight=0.7),
        Member(name="tiny", network=tiny, preprocessing=small, weight=0.3),
    )


@pytest.fixture
def folder(members, describe, preprocessing, tmp_path):
    target = tmp_path / "models" / "model-1"
    leader = members[0].network
    info = describe(leader, preprocessing).model_copy(
        update={"name": "ensemble", "strategy": "ensemble", "members": tuple(one.described() for one in members)}
    )
    save_bundle(target, leader, info=info, reference=None, members=members)
    return target


def test_every_member_comes_back_with_its_weight_its_pictures_and_its_answers(folder, members, pictures, settings):
    bundle = load_bundle(folder, settings=settings)
    assert [(one.name, one.weight, one.preprocessing) for one in bundle.members] == [
        (one.name, one.weight, one.preprocessing) for one in members
    ]
    assert bundle.network is bundle.members[0].network
    assert bundle.voices == bundle.members
    for opened, saved in zip(bundle.members, members, strict=True):
        assert opened.network.spec.timm_name == saved.network.spec.timm_name
        assert opened.network.weights == saved.network.weights
        np.testing.assert_allclose(
            predict_probabilities(opened.network, pictures[0][:4], preprocessing=opened.preprocessing),
            predict_probabilities(saved.network, pictures[0][:4], preprocessing=saved.preprocessing),
            atol=1e-6,
        )


def test_the_catalogue_s_entry_is_found_again_under_an_ensemble_s_name(folder, members, settings):
    assert load_bundle(folder, settings=settings).network.spec == members[0].network.spec


@pytest.mark.parametrize(
    ("name", "timm_name", "found"),
    [
        ("efficientnet_lite0", "tf_efficientnet_lite0", "efficientnet_lite0"),
        ("efficientnet_lite0:refined", "tf_efficientnet_lite0", "efficientnet_lite0"),
        ("timm:resnet10t:refined", "resnet10t", "timm:resnet10t"),
        ("forgotten", "resnet10t", "timm:resnet10t"),
    ],
)
def test_a_row_s_name_leads_to_its_network(name, timm_name, found):
    assert spec_of(name, timm_name).name == found


def test_a_single_network_is_the_only_voice(lite0, describe, preprocessing, settings, tmp_path):
    save_bundle(tmp_path / "m", lite0, info=describe(lite0, preprocessing), reference=None)
    bundle = load_bundle(tmp_path / "m", settings=settings)
    (voice,) = bundle.voices
    assert bundle.members == ()
    assert (voice.network, voice.weight, voice.preprocessing) == (bundle.network, 1.0, preprocessing)


def test_three_lines_of_torch_and_timm_open_the_leading_network(folder):
    ran = subprocess.run(
        [sys.executable, "-c", THREE_LINES, str(folder / "model.pth")], check=True, capture_output=True, text=True
    )
    assert ran.stdout.split() == ["tf_efficientnet_lite0", "2", "1.0"]


def test_the_leader_s_weights_are_written_once(folder, members):
    size = (folder / "model.pth").stat().st_size
    tensors = [tensor for one in members for tensor in one.network.module.state_dict().values()]
    assert size < 1.05 * sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def test_members_hold_what_rebuilds_each_of_them(folder):
    checkpoint = torch.load(folder / "model.pth", weights_only=True)
    assert [one["timm_name"] for one in checkpoint["members"]] == ["tf_efficientnet_lite0", "test_efficientnet"]
    for part in checkpoint["members"]:
        assert {"name", "model_args", "state_dict", "preprocessing", "input_size", "weight"} <= part.keys()
    leading = checkpoint["members"][0]["state_dict"]
    assert all(torch.equal(tensor, leading[name]) for name, tensor in checkpoint["state_dict"].items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one, two: (two, one), "not the leading network"),
        (lambda one, two: (one, one), "twice"),
        (lambda one, two: (one,), "do not share out 1"),
    ],
)
def test_what_is_no_ensemble_is_not_saved(members, describe, preprocessing, tmp_path, change, words):
    leader = members[0].network
    with pytest.raises(ValueError, match=words):
        save_bundle(
            tmp_path / "m", leader, info=describe(leader, preprocessing), reference=None, members=change(*members)
        )
    assert not (tmp_path / "m").exists()


def test_members_of_other_classes_are_not_saved(members, describe, preprocessing, tmp_path):
    other = copy.deepcopy(members[1].network)
    other.module.reset_classifier(5)
    pair = (members[0], Member(name="o", network=other, preprocessing=preprocessing, weight=0.3))
    with pytest.raises(ValueError, match=r"\[3, 5\]"):
        save_bundle(
            tmp_path / "m", pair[0].network, info=describe(pair[0].network, preprocessing), reference=None, members=pair
        )


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda part: part.pop("weight"), "lacks weight"),
        (lambda part: part.update(state_dict={}), "does not fit test_efficientnet"),
        (lambda part: part.update(preprocessing={"height": "tall"}), "is damaged"),
    ],
)
def test_a_damaged_member_is_named(folder, settings, damage, words):
    checkpoint = torch.load(folder / "model.pth", weights_only=True)
    damage(checkpoint["members"][1])
    torch.save(checkpoint, folder / "model.pth")
    with pytest.raises(InputError, match=words):
        load_bundle(folder, settings=settings)
