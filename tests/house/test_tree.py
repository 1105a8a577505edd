"""Nothing of one machine stands in the tree, and nothing large."""

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = {".git", ".venv", ".bench", "data", "runs", "mlruns", "demo_output", ".hypothesis"}
TEXT = {".py", ".md", ".toml", ".txt", ".in", ".yaml", ".yml", ".json", ".ini", ".cfg", ".mako", ""}
HOME = re.compile(r"(?<![\w.~$}/-])/(?:home|root|Users|work)/\w")
LARGEST_BYTES = 1024 * 1024


def files():
    for folder, below, names in os.walk(ROOT):
        below[:] = [name for name in below if name not in OUTSIDE and not name.endswith(("_cache", "__", ".egg-info"))]
        yield from (Path(folder) / name for name in names)


def test_no_path_of_somebody_s_machine_is_written_down():
    found = {
        path.relative_to(ROOT).as_posix(): HOME.findall(text)
        for path in files()
        if path.suffix in TEXT and HOME.search(text := path.read_text(encoding="utf-8", errors="replace"))
    }
    assert found == {}


@pytest.mark.parametrize("line", ["see " + "/home" + "/ada/x", "'" + "/root" + "/x'", "(" + "/Users" + "/ada)"])
def test_such_a_path_would_be_noticed(line):
    assert HOME.search(line)


def test_no_file_is_larger_than_a_mebibyte():
    large = {path.relative_to(ROOT).as_posix() for path in files() if path.stat().st_size > LARGEST_BYTES}
    assert large == set()


def test_every_test_folder_mirrors_a_package():
    mirrored = {
        path.name for path in (ROOT / "tests" / "backend").iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    rooms = {path.name for path in (ROOT / "backend").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert mirrored - rooms == set()
