import threading
import time

import pytest

from backend.contracts import CandidateProgress, Progress
from backend.errors import UnavailableError
from backend.execution.protocol import Outcome
from backend.execution.trace import request_id, traced
from backend.jobs import worker as worker_module
from backend.jobs.presence import Presence
from backend.jobs.worker import Worker
from tests.waiting import PATIENCE_S, wait_until


class InlineExecutor:
    """Runs the handler in the worker's own thread: the queue's side is what is under test here."""

    def __init__(self):
        self.events = []

    def start(self):
        self.events.append("start")

    def run(self, handler, job, *, watch):
        return handler(job, watch)

    def close(self):
        self.events.append("close")


@pytest.fixture
def start_worker(queue, database):
    running = []

    def start(**handlers):
        executor = InlineExecutor()
        worker = Worker(queue, executor, handlers=handlers, presence=Presence(database))
        thread = threading.Thread(target=worker.run)
        thread.start()
        running.append((worker, thread))
        return worker, thread, executor

    yield start
    for worker, thread in running:
        worker.stop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def wait_for(queue, job_id, *states):
    def there():
        job = queue.get(job_id)
        return job if job.state in states else None

    return wait_until(there, f"{job_id} is {' or '.join(states)}")


def test_a_job_is_done_and_its_reports_are_written(queue, start_worker):
    def work(job, watch):
        for epoch in range(20):
            row = CandidateProgress(name="r18", state="running", epoch=epoch)
            watch.report(Progress(stage="training", message=f"epoch {epoch}", progress=epoch / 20, candidate=row))
        return Outcome(state="succeeded")

    start_worker(train=work)
    job = wait_for(queue, queue.enqueue("train", {}).job_id, "succeeded")
    assert job.candidates[0].epoch == 19


@pytest.mark.parametrize(
    ("outcome", "state", "error"),
    [
        (Outcome(state="failed", detail="no images"), "failed", "no images"),
        (Outcome(state="cancelled"), "cancelled", None),
    ],
)
def test_an_outcome_is_the_jobs_state(queue, start_worker, outcome, state, error):
    start_worker(train=lambda job, watch: outcome)
    job = wait_for(queue, queue.enqueue("train", {}).job_id, state)
    assert job.error == error


def test_a_job_whose_process_died_is_tried_again_and_then_fails_with_the_cause(queue, start_worker):
    attempts = []

    def die(job, watch):
        attempts.append(job.attempts)
        return Outcome(state="lost", detail="the training process ended unexpectedly (SIGKILL)")

    start_worker(train=die)
    job = wait_for(queue, queue.enqueue("train", {}).job_id, "failed")
    assert attempts == [1, 2]
    assert "SIGKILL" in job.error


def test_a_kind_without_a_handler_fails_and_names_those_there_are(queue, start_worker):
    start_worker(train=lambda job, watch: Outcome(state="succeeded"))
    job = wait_for(queue, queue.enqueue("bake", {}).job_id, "failed")
    assert "'bake'" in job.error
    assert "train" in job.error


def test_a_cancellation_reaches_the_running_job(queue, start_worker):
    def wait(job, watch):
        while not watch.cancelled():
            time.sleep(0.01)
        return Outcome(state="cancelled")

    start_worker(train=wait)
    job_id = queue.enqueue("train", {}).job_id
    wait_for(queue, job_id, "running")
    queue.request_cancel(job_id)
    assert wait_for(queue, job_id, "cancelled")


def test_a_stopped_worker_gives_its_job_back_and_leaves_no_sign_of_life(queue, database, start_worker):
    def work(job, watch):
        while not watch.stopped():
            time.sleep(0.01)
        return Outcome(state="lost", detail="the worker was shut down")

    worker, thread, executor = start_worker(train=work)
    job_id = queue.enqueue("train", {}).job_id
    wait_for(queue, job_id, "running")
    wait_until(lambda: Presence(database).silence_s() is not None, "a sign of life")
    assert Presence(database).silence_s() < PATIENCE_S
    worker.stop()
    thread.join(PATIENCE_S)
    assert (queue.get(job_id).state, queue.get(job_id).attempts) == ("queued", 0)
    assert executor.events == ["start", "close"]
    assert Presence(database).silence_s() is None


def test_a_worker_takes_up_the_job_of_one_that_is_not_heard_of_any_more(queue, start_worker, monkeypatch):
    monkeypatch.setattr(worker_module, "STALE_AFTER_S", 0.01)
    job_id = queue.enqueue("train", {}).job_id
    assert queue.claim("worker-that-died")
    time.sleep(0.05)
    start_worker(train=lambda job, watch: Outcome(state="succeeded"))
    assert wait_for(queue, job_id, "succeeded").attempts == 2


def test_a_worker_whose_job_was_given_away_lets_go_of_it(queue, start_worker, monkeypatch):
    monkeypatch.setattr(worker_module, "HEARTBEAT_S", 0.05)
    let_go = []

    def work(job, watch):
        end = time.monotonic() + PATIENCE_S
        while job.attempts == 1 and not watch.stopped() and time.monotonic() < end:
            time.sleep(0.01)
        let_go.append(time.monotonic() < end)
        return Outcome(state="succeeded")

    start_worker(train=work)
    job_id = queue.enqueue("train", {}).job_id
    wait_for(queue, job_id, "running")
    assert queue.requeue_lost(stale_after_s=-1)
    assert wait_for(queue, job_id, "succeeded").attempts == 2
    assert let_go == [True, True]


def test_a_worker_outlives_a_database_that_does_not_answer(queue, start_worker, monkeypatch):
    monkeypatch.setattr(worker_module, "HEARTBEAT_S", 0.05)
    real, failures = queue.claim, [1, 1]

    def claim(worker_id, *, lane):
        if failures:
            failures.pop()
            raise UnavailableError("database is locked")
        return real(worker_id, lane=lane)

    monkeypatch.setattr(queue, "claim", claim)
    start_worker(train=lambda job, watch: Outcome(state="succeeded"))
    assert wait_for(queue, queue.enqueue("train", {}).job_id, "succeeded")


def test_what_a_worker_logs_of_a_job_belongs_to_its_request(queue, start_worker):
    seen = []

    def work(job, watch):
        seen.append(request_id())
        return Outcome(state="succeeded")

    with traced("req-1"):
        first = queue.enqueue("work", {}).job_id
    second = queue.enqueue("work", {}).job_id
    start_worker(work=work)
    for job_id in (first, second):
        wait_for(queue, job_id, "succeeded")
    assert seen == ["req-1", ""]
