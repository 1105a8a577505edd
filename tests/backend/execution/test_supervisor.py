import os
import signal

import pytest
import service_fakes

from backend.execution import supervisor
from backend.execution.supervisor import KeptProcess
from tests.waiting import has_ended, wait_until


def started(folder, count):
    """Ids of the processes that noted their start, in its order, once there are `count` of them."""

    def noted():
        found = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        return found if len(found) >= count else None

    return [int(path.name) for path in wait_until(noted, f"{count} processes have started")]


def test_a_process_that_is_killed_is_started_again_and_the_end_of_the_block_ends_it(tmp_path):
    with KeptProcess(service_fakes.note_and_sleep, str(tmp_path), name="kept"):
        (first,) = started(tmp_path, 1)
        os.kill(first, signal.SIGKILL)
        second = started(tmp_path, 2)[-1]
        assert second != first
    assert has_ended(second)


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
    assert has_ended(run.process_id)
