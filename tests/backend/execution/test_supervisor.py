import os
import signal
import time

import pytest
import service_fakes

from backend.execution import supervisor
from backend.execution.supervisor import KeptProcess


def started(folder, count, *, timeout_s=20.0):
    """Ids of the processes that noted their start, once there are `count` of them."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
        if len(found) >= count:
            return [int(path.name) for path in found]
        time.sleep(0.05)
    raise AssertionError(f"{len(found)} of {count} processes started")


def is_alive(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_that_is_killed_is_started_again_and_the_end_of_the_block_ends_it(tmp_path):
    with KeptProcess(service_fakes.note_and_sleep, str(tmp_path), name="kept"):
        (first,) = started(tmp_path, 1)
        os.kill(first, signal.SIGKILL)
        second = started(tmp_path, 2)[-1]
        assert second != first
    assert not is_alive(second)


def test_a_process_that_dies_at_once_is_started_with_growing_pauses(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.05)
    with KeptProcess(service_fakes.note_and_die, str(tmp_path), name="kept"):
        started(tmp_path, 2)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_a_process_that_does_not_listen_is_killed_when_the_block_ends_by_a_signal(tmp_path, monkeypatch, raised):
    monkeypatch.setattr(supervisor, "FAREWELL_S", 0.3)

    def run():
        with KeptProcess(service_fakes.note_and_ignore_term, str(tmp_path), name="kept"):
            run.process_id = started(tmp_path, 1)[0]
            raise raised

    with pytest.raises(raised):
        run()
    assert not is_alive(run.process_id)
