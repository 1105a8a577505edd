"""What the README tells people to type exists."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from backend.cli.app import COMMANDS, GROUPS
from backend.main import create_app
from sample_datasets.__main__ import parse

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = README + "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "guide").glob("*.md")))


def blocks(language, text=GUIDES):
    """Contents of the fenced blocks of a language; the empty one is plain text."""
    return [
        body for name, body in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) if name == language
    ]


def typed():
    """Every command line of the shell blocks, comments removed."""
    lines = "\n".join(blocks("bash")).splitlines()
    return [line.split(" #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


def targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def tree():
    """Paths of the README's file tree; an indented name lies in the folder above it."""
    [block] = [text for text in blocks("", README) if "run_backend.py" in text]
    folder = ""
    for line in block.splitlines():
        names = re.split(r"\s{2,}(?=[^\s]+\s[^\s])", line.strip(), maxsplit=1)[0].split()
        paths = [name for name in names if name.endswith("/") or "." in name or name == "Makefile"]
        if not line.startswith(" "):
            folder = paths[0]
        for name in paths:
            yield name if not line.startswith(" ") else folder + name


def test_every_make_command_exists():
    named = {name for line in typed() for name in re.findall(r"\bmake ([a-z-]+)", line)}
    assert {"start", "test", "check"} <= named
    assert named - targets() == set()


def test_every_make_target_is_listed_by_make_and_phony():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([a-z-]+):.*## .+", makefile, re.MULTILINE))
    phony = set(re.search(r"^\.PHONY: (.+)", makefile, re.MULTILINE)[1].split())
    assert listed == phony == targets()


@pytest.mark.parametrize("target", sorted(targets()))
def test_a_make_target_can_be_planned(target):
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr


def test_every_sightglass_command_exists():
    named = {name for line in typed() for name in re.findall(r"(?:^|&& )sightglass ([a-z]+)", line)}
    assert {"train", "predict", "evaluate", "serve", "doctor"} <= named
    assert named - {command.__name__ for command in COMMANDS} - {group.info.name for group in GROUPS} == set()


def test_the_sample_fetcher_takes_the_arguments_of_the_readme():
    [arguments] = {words for line in typed() for words in re.findall(r"python -m sample_datasets ([^&]+)", line)}
    assert parse(arguments.split()).names == ["cifar10"]


def test_every_address_of_a_curl_line_is_a_route(settings):
    calls = re.findall(r"\$api(/[^\s\"?]+)", "\n".join(blocks("bash")))
    assert len(calls) >= 8
    routes = [re.sub(r"\{\w+\}", "[^/]+", path) for path in create_app(settings).openapi()["paths"]]
    assert [call for call in calls if not any(re.fullmatch(route, call) for route in routes)] == []


def test_the_python_of_the_readme_is_python():
    for block in blocks("python"):
        ast.parse(block)


def test_every_path_of_the_file_tree_exists():
    paths = list(tree())
    assert len(paths) > 25
    assert [path for path in paths if not (ROOT / path).exists()] == []
