"""Errands are done in another process, each once; nobody waits, and a hanging one ends."""

import os
import time
from pathlib import Path

import pytest

from backend.config import Settings
from backend.execution.errands import Errands
from tests.waiting import has_ended, wait_until


def note(settings, names):
    """A line a call, in the order of the calls."""
    with (settings.data_dir / "notes").open("a") as file:
        file.write(f"{os.getpid()} {' '.join(names)}\n")


def note_slowly(settings, names):
    note(settings, names)
    gate = settings.data_dir / "gate"
    while not gate.exists():
        time.sleep(0.01)


def fail(settings, names):
    note(settings, names)
    raise ValueError("no")


def hang(settings, names):
    note(settings, names)
    time.sleep(600)


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path)


@pytest.fixture
def notes(settings):
    path = settings.data_dir / "notes"

    def read(number):
        """The first lines, as soon as there are so many."""

        def written():
            lines = path.read_text().splitlines() if path.exists() else []
            return lines if len(lines) >= number else None

        lines = wait_until(written, f"{number} errands are done")
        return [line.split()[1:] for line in lines], {int(line.split()[0]) for line in lines}

    return read


@pytest.fixture
def made():
    errands = []
    yield errands.append
    for one in errands:
        one.close()


def test_an_errand_is_done_in_another_process(settings, notes, made):
    made(errands := Errands(note, settings))
    errands.send("ds-1")
    lines, processes = notes(1)
    assert lines == [["ds-1"]]
    assert os.getpid() not in processes


def test_what_waits_is_done_together_and_once(settings, notes, made):
    made(errands := Errands(note_slowly, settings))
    errands.send("ds-1")
    notes(1)
    for name in ("ds-2", "ds-1", "ds-2", "ds-2"):
        errands.send(name)
    (settings.data_dir / "gate").touch()
    lines, _ = notes(2)
    assert lines == [["ds-1"], ["ds-2", "ds-1"]]


def test_an_errand_that_fails_keeps_nobody_from_the_next(settings, notes, made):
    made(errands := Errands(fail, settings))
    errands.send("ds-1")
    notes(1)
    errands.send("ds-2")
    assert notes(2)[0] == [["ds-1"], ["ds-2"]]


def test_an_errand_that_hangs_is_ended(settings, notes, made, monkeypatch):
    made(errands := Errands(hang, settings))
    errands.send("ds-1")
    _, (process,) = notes(1)
    monkeypatch.setattr(errands, "_timeout_s", 0.1)
    wait_until(lambda: has_ended(process), "the process that hangs is ended")
    monkeypatch.undo()  # the next one may take its time to start
    errands.send("ds-2")
    assert notes(2)[0] == [["ds-1"], ["ds-2"]]


def test_closing_ends_what_is_under_way_and_takes_nothing_more(settings, notes):
    errands = Errands(hang, settings)
    errands.send("ds-1")
    _, processes = notes(1)
    errands.close()
    assert not any(Path(f"/proc/{process}").exists() for process in processes)
    errands.send("ds-2")
    assert notes(1)[0] == [["ds-1"]]
