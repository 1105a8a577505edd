"""Several networks that answer together, on the command line: a folder like any other."""

import json
import zipfile

import pytest
import service_fakes

from backend.cli.app import run
from backend.contracts import Preprocessing

NETWORK = "timm:test_efficientnet"  # the smallest that timm has
SIDE = 96


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from backend.config import Settings
    from backend.engine.bundle import save_bundle
    from backend.engine.members import Member
    from backend.engine.models import find_spec
    from backend.engine.network import create_network

    preprocessing = Preprocessing(height=SIDE, width=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3)
    settings, spec = Settings(offline=True), find_spec(NETWORK)
    networks = [create_network(spec, num_classes=2, settings=settings, seed=seed, input_size=SIDE) for seed in (1, 2)]
    members = tuple(
        Member(name=f"net-{place}", network=network, preprocessing=preprocessing, weight=0.5)
        for place, network in enumerate(networks)
    )
    info = service_fakes.model_info(
        "model-1",
        name="ensemble",
        strategy="ensemble",
        timm_name=spec.timm_name,
        preprocessing=preprocessing,
        members=tuple(member.described() for member in members),
    )
    target = tmp_path_factory.mktemp("models") / "model-1"
    save_bundle(target, networks[0], info=info, reference=None, members=members)
    return target


def test_an_ensemble_answers_pictures(folder, make_zip, tmp_path, capsys):
    with zipfile.ZipFile(make_zip({"circle": 1, "square": 1})) as archive:
        pictures = [archive.extract(name, tmp_path) for name in archive.namelist()]
    assert run(["predict", *pictures, "--model", str(folder), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["model"]["name"] for row in rows] == ["ensemble", "ensemble"]
    assert all(sum(one["confidence"] for one in row["predictions"]) == pytest.approx(1, abs=1e-5) for row in rows)


def test_an_ensemble_is_evaluated_and_says_who_answers(folder, make_zip, tmp_path, capsys):
    out = tmp_path / "report"
    assert run(["evaluate", str(folder), str(make_zip({"circle": 3, "square": 3})), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "ensemble (net-0 50%, net-1 50%) on 6 images: accuracy" in said
    assert "calibration error" in said
    assert json.loads((out / "report.json").read_text())["total_images"] == 6
