import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from backend.contracts.journal import NullJournal, decided
from backend.errors import ConflictError
from backend.storage import journal as module
from backend.storage.journal import FileJournal, file_name

IDENTITY = {"recipe": {"seed": 1}}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "jobs" / "job-1"


@pytest.fixture
def journal(folder):
    journal = FileJournal(folder)
    journal.begin(IDENTITY)
    yield journal
    journal.close()


def test_a_note_comes_back_to_the_last_bit(journal):
    page = journal.at("probe timm:a/b 1").at("work")
    answers = np.array([[0.1, 1 / 3], [np.nan, np.inf]], dtype=np.float32)
    page.note(
        "trial", {"loss": 1 / 3, "none": None, "endless": float("inf")}, {"answers": answers, "empty": answers[:0]}
    )
    note = page.recall("trial")
    assert note.facts == {"loss": 1 / 3, "none": None, "endless": float("inf")}
    np.testing.assert_array_equal(note.arrays["answers"], answers)
    assert note.arrays["answers"].dtype == np.float32
    assert note.arrays["empty"].shape == (0, 2)
    assert page.recall("other") is None


def test_what_the_clock_decided_is_not_decided_again(journal):
    assert decided(journal, "plan", lambda: [1, 2.5]) == [1, 2.5]
    assert decided(journal, "plan", lambda: pytest.fail("decided again")) == [1, 2.5]
    assert decided(NullJournal(), "plan", lambda: 1) == 1


def test_a_page_goes_with_all_below_it_and_no_other(journal):
    for name in ("one", "two"):
        journal.at(name).at("below").note("a", {})
    journal.at("one").forget()
    assert journal.at("one").at("below").recall("a") is None
    assert journal.at("two").at("below").recall("a") is not None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"no archive at all"])
def test_a_damaged_note_is_as_good_as_none(journal, content):
    journal.note("a", {"x": 1})
    next(journal.folder.glob("a*.npz")).write_bytes(content)
    assert journal.recall("a") is None


def test_a_note_that_would_run_code_is_not_opened(journal):
    journal.folder.mkdir(exist_ok=True)
    with (journal.folder / "a.npz").open("wb") as file:
        np.savez(file, facts=np.array([{"x": 1}], dtype=object))
    assert journal.recall("a") is None


def test_attempts_are_counted_and_an_earlier_one_s_notes_and_time_are_there(folder):
    now = [100.0]
    first = FileJournal(folder, clock=lambda: now[0])
    assert (first.begin(IDENTITY).attempt, first.begin) != (0, None)
    first.note("a", {"x": 1})
    now[0] += 42.0
    first.tick()
    first.close()
    second = FileJournal(folder, clock=lambda: now[0])
    begun = second.begin(IDENTITY)
    assert (begun.attempt, begun.used_s) == (2, 42.0)
    assert second.recall("a").facts == {"x": 1}
    now[0] += 8.0
    second.tick()
    second.close()
    assert json.loads((folder / "clock.json").read_text()) == {"used_s": 50.0}


def test_a_journal_of_other_work_is_emptied_with_its_time(folder, journal):
    journal.note("a", {})
    (folder / "clock.json").write_text('{"used_s": 9}')
    journal.close()
    other = FileJournal(folder)
    begun = other.begin({"recipe": {"seed": 2}})
    assert (begun.attempt, begun.used_s) == (2, 0.0)
    assert other.recall("a") is None
    other.close()


def test_an_attempt_that_came_further_says_so_to_the_next_and_one_that_did_not_does_not(folder):
    told = []

    def attempt(*keys):
        journal = FileJournal(folder, on_progress=lambda: told.append(keys))
        journal.begin(IDENTITY)
        for key in keys:
            journal.at("work").note(key, {})
        journal.close()

    attempt("trial")
    assert told == []
    attempt("plan")  # it says that the one before had done a trial
    attempt("loss")  # a plan alone is no work
    attempt()
    attempt()
    assert told == [("plan",), ()]


def test_what_a_killed_attempt_was_writing_is_gone_with_the_next(folder, journal):
    page = journal.at("work")
    page.note("a", {})
    (page.folder / ".tmp-1-model").write_bytes(b"half")
    (folder / ".tmp-2-folder").mkdir()
    (folder / ".tmp-2-folder" / "x").write_bytes(b"")
    journal.close()
    again = FileJournal(folder)
    again.begin(IDENTITY)
    assert not list(folder.rglob(".tmp-*"))
    assert again.at("work").recall("a") is not None
    again.close()


HOLD = """
import sys
from pathlib import Path
from backend.storage.journal import FileJournal
FileJournal(Path(sys.argv[1])).begin({})
print("held", flush=True)
sys.stdin.read()
"""


def test_one_process_at_a_time_and_a_killed_one_lets_go(folder, monkeypatch):
    monkeypatch.setattr(module, "LOCK_WAIT_S", 0.2)
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        journal = FileJournal(folder)
        with pytest.raises(ConflictError, match="still at work on 'job-1'"):
            journal.begin(IDENTITY)
        assert not FileJournal(folder).remove()
        assert folder.is_dir()
        other.kill()
        other.wait(60)
        assert journal.begin(IDENTITY).attempt == 2
        journal.close()
    finally:
        other.kill()
        other.wait(60)
        other.stdin.close()
        other.stdout.close()


def test_a_journal_that_is_removed_leaves_nothing(folder, journal):
    journal.at("work").note("a", {})
    assert journal.remove()
    assert list(folder.parent.iterdir()) == []
    assert FileJournal(folder).remove()  # nothing to remove is no fault


def test_two_who_look_for_leftovers_at_once_remove_a_journal_once(folder, journal, monkeypatch):
    journal.close()
    looked = Path.is_dir

    def is_there_and_then_gone(path):
        found = looked(path)
        if path == folder:
            monkeypatch.setattr(Path, "is_dir", looked)
            assert FileJournal(folder).remove()
        return found

    monkeypatch.setattr(Path, "is_dir", is_there_and_then_gone)
    assert not FileJournal(folder).remove()
    assert list(folder.parent.iterdir()) == []


def test_turns_that_are_taken_side_by_side_tick_one_clock(folder, monkeypatch):
    """A disk that stalls for seconds: another thread's tick comes while the first is being written."""
    now = [0.0]
    journal = FileJournal(folder, clock=lambda: now[0])
    journal.begin(IDENTITY)
    replaced, late = Path.replace, []

    def slow_replace(path, target):
        if target.name == module.CLOCK and now[0] == 10.0:
            now[0] += 5.0
            other = threading.Thread(target=lambda: late.append(journal.tick()))
            other.start()
            other.join()
        return replaced(path, target)

    monkeypatch.setattr(Path, "replace", slow_replace)
    now[0] = 10.0
    journal.tick()
    assert late == [None]  # the other thread's tick came back, and without an error
    journal.close()
    again = FileJournal(folder)
    assert again.begin(IDENTITY).used_s == 10.0
    again.close()


def test_names_stay_apart_whatever_they_hold():
    names = ["a:b", "a/b", "a b", "a_b", "x" * 100, "x" * 101, "..", "trial"]
    found = [file_name(name) for name in names]
    assert len(set(found)) == len(names)
    assert all("/" not in name and ":" not in name and name.strip(".") for name in found)
    assert file_name("trial") == "trial"
