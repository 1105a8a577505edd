import os
import signal
import threading

import pytest
import service_fakes

from backend.errors import RecipeError, UnavailableError
from backend.execution.side_process import SideProcess
from backend.execution.trace import traced
from tests.waiting import PATIENCE_S, has_ended, wait_until


@pytest.fixture(scope="module")
def pool(settings):
    pool = SideProcess(settings, warm_up=service_fakes.do_nothing)
    yield pool
    pool.close()


def test_closing_ends_a_waiting_call_and_starts_nothing_new(settings):
    pool = SideProcess(settings, warm_up=service_fakes.do_nothing)
    failures = []

    def wait():
        try:
            pool.call(service_fakes.sleep_long)
        except UnavailableError as error:
            failures.append(error.detail)

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(pool.process_ids, "the call's process runs")
    pool.close()
    waiting.join(PATIENCE_S)
    assert failures == ["The service is shutting down."]
    with pytest.raises(UnavailableError, match="shutting down"):
        pool.call(service_fakes.add, 1, right=1)


def test_calls_are_answered_by_one_other_process(pool):
    assert pool.call(service_fakes.add, 1, right=2) == 3
    assert pool.call(service_fakes.own_process_id) == pool.call(service_fakes.own_process_id) != os.getpid()


def test_a_call_is_made_for_the_request_that_asked(pool):
    with traced("req-1"):
        assert pool.call(service_fakes.request_of_this_call) == "req-1"
    assert pool.call(service_fakes.request_of_this_call) == ""


def test_the_process_is_known_by_its_number(pool):
    assert pool.process_ids() == [pool.call(service_fakes.own_process_id)]
    assert SideProcess(pool._settings, warm_up=service_fakes.do_nothing).process_ids() == []


def test_errors_arrive_as_they_were_raised(pool):
    with pytest.raises(RecipeError, match="no"):
        pool.call(service_fakes.fail_with_recipe_error)


def test_a_call_whose_process_dies_is_made_once_more(pool, tmp_path):
    assert pool.call(service_fakes.die_once, str(tmp_path / "died")) == "alive"


def test_a_call_that_kills_twice_is_unavailable_and_the_next_one_works(pool):
    with pytest.raises(UnavailableError, match="died twice"):
        pool.call(service_fakes.die_always)
    assert pool.call(service_fakes.add, 1, right=2) == 3


def test_a_process_killed_while_idle_is_replaced_unnoticed(pool):
    process_id = pool.call(service_fakes.own_process_id)
    os.kill(process_id, signal.SIGKILL)
    wait_until(lambda: has_ended(process_id), "the process is dead")
    assert pool.call(service_fakes.add, 2, right=2) == 4


def test_a_call_that_hangs_is_given_up_and_the_next_one_works(settings, monkeypatch):
    pool = SideProcess(settings, warm_up=service_fakes.do_nothing)
    pool.call(service_fakes.add, 0, right=0)
    monkeypatch.setattr(pool, "_timeout_s", 0.3)
    with pytest.raises(UnavailableError, match="no answer within"):
        pool.call(service_fakes.sleep_long)
    monkeypatch.undo()
    assert pool.call(service_fakes.add, 1, right=1) == 2
    pool.close()


def test_what_may_take_minutes_has_a_limit_of_its_own(settings, monkeypatch):
    pool = SideProcess(settings, warm_up=service_fakes.do_nothing)
    pool.call(service_fakes.add, 0, right=0)
    assert pool._patient_timeout_s == 600 > pool._timeout_s == 120
    monkeypatch.setattr(pool, "_timeout_s", 0.0)  # what a call may not have, a patient one has
    assert pool.call_patiently(service_fakes.add, 1, right=2) == 3
    monkeypatch.setattr(pool, "_patient_timeout_s", 0.3)
    with pytest.raises(UnavailableError, match="no answer within"):
        pool.call_patiently(service_fakes.sleep_long)
    pool.close()


def test_who_waits_behind_a_long_call_is_told_so_in_time(settings, monkeypatch, tmp_path):
    pool = SideProcess(settings, warm_up=service_fakes.do_nothing)
    pool.call(service_fakes.add, 0, right=0)
    monkeypatch.setattr(pool, "_timeout_s", 0.1)
    found = []
    gate = tmp_path / "gate"
    long = threading.Thread(target=lambda: found.append(pool.call_patiently(service_fakes.wait_for_file, str(gate))))
    long.start()
    wait_until(pool._turn.locked, "the long call has its turn")
    with pytest.raises(UnavailableError, match="busy with another one"):
        pool.call(service_fakes.add, 1, right=1)
    gate.touch()
    long.join()
    assert found == ["open"]
    pool.close()
