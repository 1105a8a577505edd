"""A competitor's own environment in `.bench/envs/`, built from `benchmarks/requirements/` where it is missing.

They pin other versions of torch than ours does, so neither shares an environment with the product.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.parts import BENCH, ROOT

REQUIREMENTS = ROOT / "benchmarks" / "requirements"
STAMP = "installed.txt"


def python_of(name: str) -> Path:
    """The interpreter of a competitor's environment; builds it first (some gigabytes, minutes) where it is missing."""
    folder, wanted = BENCH / "envs" / name, REQUIREMENTS / f"{name}.txt"
    python, stamp = folder / "bin" / "python", folder / STAMP
    if not stamp.exists() or stamp.read_bytes() != wanted.read_bytes():
        print(f"Building the environment of {name} in {folder.relative_to(ROOT)}", flush=True)
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "-r", wanted], check=True)
        stamp.write_bytes(wanted.read_bytes())
    return python


def environment(**more: str) -> dict[str, str]:
    """Variables for a measured process: ours cleared, no hub, and modules compiled once as on any machine in use."""
    dropped = ("SIGHTGLASS_", "MLFLOW_")
    kept: Mapping[str, str] = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    clean = {key: value for key, value in kept.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**clean, "HF_HUB_OFFLINE": "1", "SIGHTGLASS_OFFLINE": "1", **more}
