"""The command line as a person types it: train on a sample, evaluate, predict, and open the model as the README says."""

import json
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from sample_datasets import sample_path
from tests.environment import clean_environment

ROOT = Path(__file__).resolve().parents[2]
SIGHTGLASS = Path(sysconfig.get_path("scripts")) / "sightglass"

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]


def typed(*words, cwd):
    environment = clean_environment() | {
        "SIGHTGLASS_OFFLINE": "1",
        "SIGHTGLASS_MLFLOW_TRACKING_URI": "off",
        "COLUMNS": "120",
    }
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the shapes unpacked in it."""
    folder = tmp_path_factory.mktemp("command_line")
    with zipfile.ZipFile(sample_path("shapes")) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def trained(place):
    """A run on two of the shapes, as the README's one-liner does with CIFAR-10."""
    choice = ["--models", "efficientnet_lite0", "--classes", "circle,star", "--out", "run", "--follow"]
    done = typed(SIGHTGLASS, "train", sample_path("shapes"), *choice, cwd=place)
    assert done.returncode == 0, done.stderr
    return done


def test_training_prints_the_leaderboard_and_leaves_a_model(trained, place):
    results = json.loads((place / "run" / "results.json").read_text())
    assert results["class_names"] == ["circle", "star"]
    accuracy = results["best_model"]["accuracy"]
    assert accuracy >= 0.8
    assert f"{100 * accuracy:.1f}%" in trained.stdout
    assert "baseline" in trained.stdout
    assert (place / "run" / "models" / results["model_id"] / "model.pth").is_file()
    assert "Whole run" in trained.stderr


def test_evaluating_prints_the_report_and_writes_it(trained, place):
    with zipfile.ZipFile(place / "two.zip", "w") as archive:
        for shape in ("circle", "star"):
            for path in sorted((place / "shapes" / shape).iterdir())[:5]:
                archive.write(path, f"{shape}/{path.name}")
    done = typed(SIGHTGLASS, "evaluate", "run", "two.zip", "--out", "report", cwd=place)
    assert done.returncode == 0, done.stderr
    report = json.loads((place / "report" / "report.json").read_text())
    assert report["total_images"] == 10
    assert sum(map(sum, report["confusion_matrix"]["matrix"])) == 10
    assert report["test"]["accuracy"] >= 0.9
    assert (place / "report" / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")


def test_predicting_answers_for_each_picture_and_names_the_one_that_is_none(trained, place):
    (place / "letter.jpg").write_text("Dear reader")
    pictures = ["shapes/circle/circle_00.jpg", "letter.jpg", "shapes/star/star_00.jpg"]
    done = typed(SIGHTGLASS, "predict", *pictures, "--model", "run", "--json", "--explain", "--out", "maps", cwd=place)
    assert done.returncode == 2
    circle, letter, star = json.loads(done.stdout)
    assert circle["predictions"][0]["label"] == "circle"
    assert star["predictions"][0]["label"] == "star"
    assert "error" in letter
    assert (place / circle["heatmap"]).read_bytes().startswith(b"\x89PNG")
    assert "Traceback" not in done.stderr


def test_the_lines_of_the_readme_open_the_model(trained, place):
    [snippet] = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    [weights] = (place / "run" / "models").glob("*/model.pth")
    (place / "model.pth").write_bytes(weights.read_bytes())
    asked = "print(ckpt['class_names'], model.eval()(torch.zeros(1, 3, 224, 224)).shape)"
    done = typed(sys.executable, "-c", f"{snippet}\n{asked}", cwd=place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['circle', 'star'] torch.Size([1, 2])"
