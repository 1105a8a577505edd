"""requirements/ pins everything, and says nothing of where it comes from."""

import re
from itertools import combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)( ; .+)?$")


def pins(path):
    """Package -> versions; one package may have a version for each Python."""
    found: dict[str, set[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.lstrip().startswith("#"):
            match = PIN.match(line)
            assert match, f"{path.name}: '{line}' is no pin"
            found.setdefault(match[1], set()).add(match[2])
    return found


def wanted(path):
    """Packages that a .in file asks for."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return {re.split(r"[\[=<>!~ ]", line)[0] for line in lines if line and not line.startswith("-")}


def test_there_are_three_locks():
    assert [path.name for path in LOCKS] == ["base.txt", "dev.txt", "ray.txt"]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_holds_no_download_address(path):
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"https?://|file:|--(?:extra-)?index-url|--find-links|--trusted-host|\s@\s", text) == []


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_wanted_package_is_pinned(path):
    assert wanted(path.with_suffix(".in")) - set(pins(path)) == set()


@pytest.mark.parametrize(("one", "other"), list(combinations(LOCKS, 2)), ids=lambda path: path.name)
def test_locks_agree_on_what_they_share(one, other):
    first, second = pins(one), pins(other)
    shared = first.keys() & second.keys()
    assert {name: first[name] for name in shared} == {name: second[name] for name in shared}
