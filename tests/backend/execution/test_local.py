import os
import signal
import time

import pytest
import service_fakes

from backend.contracts import Job
from backend.execution import local, pulse
from backend.execution.local import LocalExecutor
from backend.execution.protocol import Watch


@pytest.fixture(scope="module")
def executor(settings):
    executor = LocalExecutor(settings, warm_up=service_fakes.do_nothing)
    executor.start()
    yield executor
    executor.close()


class Watched:
    """Collects reports; `cancel_when` and `stop_when` look at them."""

    def __init__(self, *, cancel=False, stop=False):
        self.reports = []
        self.watch = Watch(
            report=self.reports.append,
            cancelled=lambda: cancel and bool(self.reports),
            stopped=lambda: stop and bool(self.reports),
        )


def run(executor, handler, watched=None, **payload):
    job = Job(job_id="job-1", kind="test", payload=payload)
    return executor.run(handler, job, watch=(watched or Watched()).watch)


def test_a_job_runs_in_another_process_that_is_kept_for_the_next(executor):
    first, second = Watched(), Watched()
    assert run(executor, service_fakes.run_process_id, first).state == "succeeded"
    assert run(executor, service_fakes.run_process_id, second).state == "succeeded"
    assert first.reports[0].message == second.reports[0].message != str(os.getpid())


def test_training_yields_to_the_api(executor):
    watched = Watched()
    run(executor, service_fakes.run_niceness, watched)
    assert int(watched.reports[0].message) >= os.nice(0) + 10 or os.nice(0) > 9


def test_all_that_a_job_does_is_done_for_the_request_that_started_it(executor):
    watched = Watched()
    job = Job(job_id="job-1", kind="test", request_id="req-1")
    executor.run(service_fakes.run_request_id, job, watch=watched.watch)
    assert watched.reports[0].message == "job-1 req-1"


def test_an_error_of_our_tree_ends_as_its_detail(executor):
    outcome = run(executor, service_fakes.run_recipe_error)
    assert (outcome.state, outcome.detail) == ("failed", "There is no network 'resnt18'. Did you mean 'resnet18'?")


def test_a_bug_in_a_handler_is_an_outcome_and_the_process_lives_on(executor):
    outcome = run(executor, service_fakes.run_bug)
    assert outcome.state == "failed"
    assert "ZeroDivisionError: a bug" in outcome.detail
    assert run(executor, service_fakes.run_process_id).state == "succeeded"


def test_a_cancelled_job_stops_at_its_next_check_and_keeps_the_process(executor, monkeypatch):
    # However slow the machine: what ends the job within ten minutes is the job. TERM would take the process with it.
    monkeypatch.setattr(local, "TERMINATE_AFTER_S", 600.0)
    monkeypatch.setattr(local, "KILL_AFTER_S", 600.0)
    before, after = Watched(), Watched()
    run(executor, service_fakes.run_process_id, before)
    assert run(executor, service_fakes.run_until_cancelled, Watched(cancel=True)).state == "cancelled"
    assert run(executor, service_fakes.run_process_id, after).state == "succeeded"
    assert before.reports[0].message == after.reports[0].message


def test_a_job_that_does_not_look_is_warned_before_it_is_killed(executor, monkeypatch):
    monkeypatch.setattr(local, "TERMINATE_AFTER_S", 0.2)
    monkeypatch.setattr(local, "KILL_AFTER_S", 600.0)
    child = executor._ready_child().process
    began = time.monotonic()
    assert run(executor, service_fakes.run_busy, Watched(cancel=True)).state == "cancelled"
    assert time.monotonic() - began > 0.2
    assert child.exitcode == -signal.SIGTERM


def test_a_job_that_hears_nothing_is_cancelled_soon_after_the_last_warning(executor, monkeypatch):
    assert local.TERMINATE_AFTER_S < local.KILL_AFTER_S < 5.0
    monkeypatch.setattr(local, "TERMINATE_AFTER_S", 0.3)
    monkeypatch.setattr(local, "KILL_AFTER_S", 0.6)
    child = executor._ready_child().process
    began = time.monotonic()
    assert run(executor, service_fakes.run_deaf, Watched(cancel=True)).state == "cancelled"
    assert time.monotonic() - began > 0.6
    assert child.exitcode == -signal.SIGKILL


def test_a_job_that_hangs_is_given_up_and_the_next_one_gets_a_new_process(settings):
    executor = LocalExecutor(settings, warm_up=service_fakes.do_nothing)
    try:
        executor._settings = settings.model_copy(update={"stuck_after_s": 0.5})
        outcome = run(executor, service_fakes.run_busy)
        assert outcome.state == "lost"
        assert "no sign of life" in outcome.detail
        assert "SIGHTGLASS_STUCK_AFTER_S" in outcome.detail
        executor._settings = settings  # a busy machine may well take half a second to start a process
        assert run(executor, service_fakes.run_process_id).state == "succeeded"
    finally:
        executor.close()


def test_a_job_that_takes_long_is_not_stuck_as_long_as_it_looks(executor, monkeypatch):
    asked, real = [], pulse.Pulse.trouble

    def trouble(self, *, stuck_after_s):
        asked.append(self._times[pulse.ACTIVE])
        return real(self, stuck_after_s=stuck_after_s)

    monkeypatch.setattr(pulse.Pulse, "trouble", trouble)
    assert run(executor, service_fakes.run_beating, seconds=1.0).state == "succeeded"
    # The clock of its looks went on while the parent followed it: what it is judged by is the last look, not the start.
    assert len(set(asked)) > 1
    assert asked == sorted(asked)


def test_a_process_that_stands_still_is_found_before_the_job_would_be(executor, monkeypatch):
    monkeypatch.setattr(pulse, "SILENT_AFTER_S", 1.0)
    outcome = run(executor, service_fakes.run_frozen)
    assert outcome.state == "lost"
    assert "frozen" in outcome.detail  # not "no sign of life", which would come later
    monkeypatch.undo()  # to start the next process takes a busy machine longer than that
    assert run(executor, service_fakes.run_process_id).state == "succeeded"


def test_a_report_says_how_much_of_the_time_budget_is_left(executor):
    watched = Watched()
    run(executor, service_fakes.run_with_budget, watched, seconds=100.0)
    free, bound = (report.budget_left_s for report in watched.reports)
    assert free is None
    assert 0 < bound <= 100


@pytest.mark.parametrize(
    ("handler", "cause"), [(service_fakes.run_dies, "SIGKILL"), (service_fakes.run_exits, "exit code 3")]
)
def test_a_dead_process_is_an_outcome_and_the_next_job_gets_a_new_one(executor, handler, cause):
    outcome = run(executor, handler)
    assert outcome.state == "lost"
    assert cause in outcome.detail
    assert run(executor, service_fakes.run_process_id).state == "succeeded"


def test_a_process_that_died_between_jobs_is_replaced(executor):
    watched = Watched()
    run(executor, service_fakes.run_process_id, watched)
    os.kill(int(watched.reports[0].message), signal.SIGKILL)
    executor._child.process.join()
    assert run(executor, service_fakes.run_process_id).state == "succeeded"


def test_a_worker_that_stops_leaves_its_job_at_once(settings):
    executor = LocalExecutor(settings, warm_up=service_fakes.refuse_to_warm)
    assert run(executor, service_fakes.run_until_cancelled, Watched(stop=True)).state == "lost"
    executor.close()
    executor.close()
