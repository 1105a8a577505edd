"""A process that ends quickly still ends rightly: handlers run, output is whole, the code is the command's."""

import gc
import subprocess
import sys

import pytest

from backend.execution.interpreter import COLLECT_AFTER, USUAL, collect_rarely, keep_loaded

BEGIN = "from backend.execution.interpreter import QuickExit; end = QuickExit(); end.arm(); "


def run(text):
    return subprocess.run([sys.executable, "-c", BEGIN + text], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("code", [0, 2])
def test_the_exit_code_is_the_commands(code):
    assert run(f"import sys; end.code = {code}; sys.exit({code})").returncode == code


def test_output_is_whole_and_other_handlers_have_run():
    done = run("import atexit; atexit.register(print, 'tidied'); end.code = 0; print('x' * 100_000)")
    assert done.returncode == 0
    assert done.stdout == "x" * 100_000 + "\ntidied\n"


def test_threads_are_waited_for():
    done = run(
        "import threading, time; end.code = 0; threading.Thread(target=lambda: (time.sleep(0.3), print('late'))).start()"
    )
    assert done.stdout == "late\n"


def test_a_crash_is_no_success():
    done = run("raise RuntimeError('broken')")
    assert done.returncode == 1
    assert "broken" in done.stderr


def test_a_reader_that_went_away_is_no_crash():
    command = f"{sys.executable} -c \"{BEGIN} end.code = 0; print('x' * 1_000_000, flush=False)\" | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "x" * 10


def test_the_collector_looks_less_often_until_all_is_loaded():
    before = gc.get_threshold()
    try:
        collect_rarely()
        assert gc.get_threshold() == (COLLECT_AFTER, *before[1:])
        keep_loaded()
        assert gc.get_threshold() == (USUAL, *before[1:])
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def test_where_nobody_asked_the_collector_is_left_alone():
    before = gc.get_threshold()
    keep_loaded()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
