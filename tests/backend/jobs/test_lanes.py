import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.jobs.lanes import make_lanes
from backend.jobs.queue import JobQueue
from backend.storage.database import Database
from tests.waiting import PATIENCE_S

LIGHT = frozenset({"check_quality"})


def queue_of(database, *, limit=1):
    return JobQueue(database, lanes=make_lanes(LIGHT, concurrent_jobs=limit))


def claims(url, limit, found):
    """Claim, hold and finish until nothing waits, in a process of its own; puts the most that were seen running at once."""
    database = Database(url)
    queue = queue_of(database, limit=limit)
    heavy, name, done, most = queue.lanes[0], f"w{multiprocessing.current_process().pid}", [], 0
    while True:
        job = queue.claim(name, lane=heavy)
        if job is not None:
            most = max(most, queue.counts()["running"])
            queue.finish(job.job_id, worker_id=name)
            done.append(job.job_id)
        elif queue.counts()["queued"] == 0:
            break
    database.close()
    found.put((done, most))


def test_a_full_lane_gives_nothing_and_one_that_empties_gives_the_oldest(database):
    queue = queue_of(database, limit=2)
    made = [queue.enqueue("train", {}).job_id for _ in range(3)]
    heavy, _ = queue.lanes
    assert [queue.claim("w", lane=heavy).job_id for _ in range(2)] == made[:2]
    assert queue.claim("w", lane=heavy) is None
    queue.finish(made[0], worker_id="w")
    assert queue.claim("w", lane=heavy).job_id == made[2]


def test_a_light_job_does_not_wait_behind_a_training(database):
    queue = queue_of(database)
    heavy, light = queue.lanes
    training, waiting = queue.enqueue("train", {}).job_id, queue.enqueue("train", {}).job_id
    look = queue.enqueue("check_quality", {}).job_id
    assert queue.claim("w1", lane=heavy).job_id == training
    assert queue.claim("w2", lane=light).job_id == look
    assert queue.claim("w3", lane=light) is None
    assert queue.position(waiting) == 1


def test_a_kind_that_nobody_knows_stands_in_the_heavy_lane_where_it_is_refused(database):
    queue = queue_of(database)
    heavy, light = queue.lanes
    queue.enqueue("bake", {})
    assert queue.claim("w", lane=light) is None
    assert queue.claim("w", lane=heavy).kind == "bake"


def test_places_are_counted_within_a_lane_and_asked_for_together(database):
    queue = queue_of(database)
    train = [queue.enqueue("train", {}).job_id for _ in range(2)]
    look = queue.enqueue("check_quality", {}).job_id
    assert queue.positions([*train, look, "job-none"]) == {train[0]: 1, train[1]: 2, look: 1}


@pytest.mark.parametrize("limit", [1, 3])
def test_threads_that_claim_at_once_never_exceed_the_limit(database, limit):
    databases = [Database(str(database.url)) for _ in range(8)]
    made = {queue_of(database).enqueue("train", {}).job_id for _ in range(24)}
    running, seen, lock = set(), [], threading.Lock()

    def work(place):
        queue = queue_of(databases[place], limit=limit)
        while queue.counts()["queued"]:
            job = queue.claim(f"w{place}", lane=queue.lanes[0])
            if job is None:
                continue
            with lock:
                running.add(job.job_id)
                seen.append((job.job_id, len(running)))
            time.sleep(0.002)
            with lock:
                running.discard(job.job_id)
            queue.finish(job.job_id, worker_id=f"w{place}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    for other in databases:
        other.close()
    assert sorted(job_id for job_id, _ in seen) == sorted(made)  # each once
    assert max(count for _, count in seen) <= limit


def test_processes_that_claim_at_once_never_exceed_the_limit(database):
    context = multiprocessing.get_context("spawn")
    made = {queue_of(database).enqueue("train", {}).job_id for _ in range(30)}
    found = context.Queue()
    children = [context.Process(target=claims, args=(str(database.url), 2, found)) for _ in range(3)]
    for child in children:
        child.start()
    parts = [found.get(timeout=2 * PATIENCE_S) for _ in children]
    for child in children:
        child.join(PATIENCE_S)
    assert sorted(job_id for done, _ in parts for job_id in done) == sorted(made)
    assert max(most for _, most in parts) <= 2


def test_a_job_that_is_held_says_why_once_and_starts_when_it_may(database):
    queue = queue_of(database)
    first, second = (queue.enqueue("train", {}).job_id for _ in range(2))
    heavy, light = queue.lanes
    assert queue.hold("no memory", lane=light) is None
    assert queue.hold("no memory", lane=heavy).job_id == first
    assert queue.hold("no memory", lane=heavy) is None
    assert (queue.get(first).state, queue.get(first).message) == ("queued", "no memory")
    assert queue.get(second).message == "Waiting for a worker."
    assert queue.claim("w", lane=heavy).message == "Starting."
    assert queue.hold("no memory", lane=heavy) is None  # full: the next one waits for that, not for memory


def test_answering_pictures_waits_neither_behind_trainings_nor_behind_looks(database):
    lanes = make_lanes(LIGHT, concurrent_jobs=1, answering_kinds=frozenset({"predict_batch"}))
    queue = JobQueue(database, lanes=lanes)
    made = {kind: queue.enqueue(kind, {}).job_id for kind in ("train", "check_quality", "predict_batch")}
    assert set(queue.positions(made.values()).values()) == {1}
    second = queue.enqueue("predict_batch", {}).job_id
    assert queue.position(second) == 2
    assert [queue.claim("w", lane=lane).job_id for lane in lanes] == list(made.values())
    assert queue.claim("w", lane=lanes[-1]) is None  # one batch at a time
