import threading
import time

import pytest

from backend.execution.protocol import Outcome
from backend.jobs.crew import Crew
from backend.jobs.lanes import make_lanes
from backend.jobs.presence import Presence
from backend.jobs.queue import JobQueue
from backend.jobs.worker import Post, Worker
from tests.waiting import PATIENCE_S, wait_until


class Inline:
    """Runs the handler in the worker's thread; `broken` stands for a fault of the worker itself."""

    def __init__(self, *, broken=False):
        self.broken = broken

    def start(self):
        if self.broken:
            raise RuntimeError("no process could be started")

    def run(self, handler, job, *, watch):
        return handler(job, watch)

    def close(self):
        pass


def worker_of(queue, database, handlers, *, executor=None, **post):
    return Worker(queue, executor or Inline(), handlers=handlers, presence=Presence(database), post=Post(**post))


def test_a_light_job_runs_beside_a_training_and_all_stop_together(database):
    queue = JobQueue(database, lanes=make_lanes(frozenset({"look"}), concurrent_jobs=1))
    heavy, light = queue.lanes

    def train(job, watch):
        while not watch.stopped():
            time.sleep(0.01)
        return Outcome(state="lost", detail="the worker was shut down")

    handlers = {"train": train, "look": lambda job, watch: Outcome(state="succeeded")}
    crew = Crew([worker_of(queue, database, handlers, lane=lane) for lane in (heavy, heavy, light)])
    thread = threading.Thread(target=crew.run)
    thread.start()
    first, second, look = (queue.enqueue(kind, {}).job_id for kind in ("train", "train", "look"))
    wait_until(lambda: queue.get(look).state == "succeeded" and queue.get(first).state == "running")
    assert queue.get(second).state == "queued"  # there is a free worker, and the limit is one
    crew.stop()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert queue.get(first).state == "queued"


def test_a_worker_that_breaks_stops_the_others_and_is_heard_of(database):
    queue = JobQueue(database)
    crew = Crew([worker_of(queue, database, {}), worker_of(queue, database, {}, executor=Inline(broken=True))])
    with pytest.raises(RuntimeError, match="no process"):
        crew.run()


def test_a_job_waits_while_something_is_in_the_way(database):
    queue, reasons = JobQueue(database), ["Waiting for memory."]
    handlers = {"train": lambda job, watch: Outcome(state="succeeded")}
    worker = worker_of(queue, database, handlers, obstacle=lambda: reasons[0])
    thread = threading.Thread(target=worker.run)
    thread.start()
    job_id = queue.enqueue("train", {}).job_id
    wait_until(lambda: queue.get(job_id).message == "Waiting for memory.")
    assert queue.get(job_id).state == "queued"
    reasons[0] = None
    wait_until(lambda: queue.get(job_id).state == "succeeded")
    worker.stop()
    thread.join(PATIENCE_S)
