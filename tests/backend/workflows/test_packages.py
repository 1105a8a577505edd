"""Which packages are wanted and what is said of one that is not there."""

import re
from pathlib import Path

from backend.workflows.packages import PACKAGES, Package, find_package, install_command

BASE = Path(__file__).parents[3] / "requirements" / "base.in"


def test_every_package_that_is_installed_is_looked_for():
    lines = (line.split("#")[0].strip() for line in BASE.read_text(encoding="utf-8").splitlines())
    wanted = {re.split(r"[\[=<>!~ ]", line)[0] for line in lines if line}
    assert {package.name for package in PACKAGES} == wanted


def test_one_that_is_there_has_a_version_and_can_be_loaded():
    found = find_package(Package(name="pyyaml", module="yaml", purpose="presets"), load=True)
    assert found.state == "ok"
    assert found.version


def test_one_that_is_not_there_is_missing():
    found = find_package(Package(name="no-such-thing", module="no_such_thing", purpose="tests"), load=True)
    assert (found.state, found.version) == ("missing", None)


def test_one_that_cannot_be_loaded_is_broken_and_says_why(tmp_path, monkeypatch):
    (tmp_path / "half_built.py").write_text("raise OSError('libGL.so.1: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    package = Package(name="half-built", module="half_built", purpose="tests")
    found = find_package(package, load=True)
    assert found.state == "broken"
    assert "libGL.so.1" in found.reason
    assert find_package(package, load=False).state == "ok"


def test_the_command_names_what_is_missing():
    assert "pip install half-built" in install_command([Package(name="half-built", module="x", purpose="tests")])
