"""The contracts of pyproject.toml hold, and would notice if they did not."""

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINTER = Path(sysconfig.get_path("scripts")) / "lint-imports"

# (contract, file, line that breaks it). At least one for each, so that none of them is asleep; more where a new file
# in an allowed room could slip through.
VIOLATIONS = [
    ("Rooms: each imports only rooms below it", "backend/storage/planted.py", "from backend import api"),
    ("FastAPI only in main and api", "backend/data/planted.py", "import fastapi"),
    ("torch only where pictures meet networks", "backend/api/planted.py", "import torch"),
    ("torch only where pictures meet networks", "backend/data/planted_torch.py", "import torch"),
    ("mlflow and ray in one file each", "backend/tracking/planted.py", "import mlflow"),
    ("mlflow and ray in one file each", "backend/execution/planted.py", "import ray"),
    ("SQL only in jobs and storage", "backend/engine/planted.py", "import sqlalchemy"),
    ("The frontend speaks HTTP only", "frontend/planted.py", "from backend import errors"),
]


def contracts(folder):
    """Verdict of each contract: KEPT or BROKEN."""
    done = subprocess.run(
        [LINTER, "--no-cache", "--no-logo"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    verdicts = dict(re.findall(r"^(.+?) (KEPT|BROKEN)(?: \(.+\))?$", done.stdout, re.MULTILINE))
    return done, verdicts


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A copy of the code with one violation of every contract."""
    copy = tmp_path_factory.mktemp("planted")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in ("backend", "frontend"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for _, path, line in VIOLATIONS:
        (copy / path).write_text(f"{line}\n")
    return contracts(copy)


def test_every_contract_holds():
    done, verdicts = contracts(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(verdicts.values()) == {"KEPT"}


def test_every_contract_has_a_violation_planted(planted):
    assert set(planted[1]) == {contract for contract, _, _ in VIOLATIONS}


@pytest.mark.parametrize(("contract", "path"), [(contract, path) for contract, path, _ in VIOLATIONS])
def test_a_planted_violation_is_caught(planted, contract, path):
    done, verdicts = planted
    assert done.returncode == 1
    assert verdicts[contract] == "BROKEN"
    assert Path(path).with_suffix("").as_posix().replace("/", ".") in done.stdout
