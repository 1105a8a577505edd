"""The error tree: one root, a status on each class, and the drawing at the top agrees with the code."""

import re

import pytest

from backend import errors
from backend.errors import Interruption, SightglassError

TREE = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SightglassError)]


def drawn():
    """Name and status of each line of the module's drawing."""
    lines = re.findall(r"^[│├└─ ]*([A-Z]\w+) {2,}(\d{3}|[a-z])", errors.__doc__, re.MULTILINE)
    return {name: int(status) if status.isdigit() else None for name, status in lines}


def test_every_class_stands_in_the_drawing_and_no_other():
    assert set(drawn()) == {kind.__name__ for kind in TREE}


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_the_drawing_shows_each_status(kind):
    if issubclass(kind, Interruption):
        assert drawn()[kind.__name__] is None
    else:
        assert drawn()[kind.__name__] == kind.status


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_an_error_carries_its_detail(kind):
    error = kind("'cat.zip' is empty; send a ZIP with images.")
    assert error.detail == str(error) == "'cat.zip' is empty; send a ZIP with images."
    assert kind.title
    assert kind.__doc__


def test_only_faults_of_our_own_are_5xx():
    faults = {kind.__name__ for kind in TREE if kind.status >= 500 and not issubclass(kind, Interruption)}
    assert faults == {"SightglassError", "UnavailableError", "BusyError", "OutOfMemory", "DiskFullError"}
