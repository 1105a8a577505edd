"""One queue for many clients and several services in real processes; training is stood in for."""

import collections

import pytest

from benchmarks.queue import JOBS, enqueue_all, health_asked, runs_of, services, upload, wait_for_all
from tests.waiting import Meanwhile

pytestmark = pytest.mark.acceptance


def test_two_services_on_one_database_run_fifty_jobs_of_ten_clients_once_each_and_answer_meanwhile():
    with services(2, SIGHTGLASS_CONCURRENT_JOBS="2") as (clients, data):
        dataset_id = upload(clients[0])
        with Meanwhile() as meanwhile, health_asked(clients) as times:
            job_ids = enqueue_all(clients, dataset_id)
            states = wait_for_all(clients[0], job_ids)
        assert len(set(job_ids)) == JOBS
        assert collections.Counter(states.values()) == {"succeeded": JOBS}
        runs = runs_of(data)
        assert {job_id: runs[job_id] for job_id in job_ids} == dict.fromkeys(job_ids, 1)
        by_process = collections.Counter(path.name.split(".")[2] for path in (data / "ran").iterdir())
        assert len(by_process) >= 2  # both services took part
        left = [
            job["kind"]
            for state in ("queued", "running")
            for job in clients[1].get(f"/api/cv/jobs?state={state}").json()
        ]
        assert "train_images" not in left
    times.sort()
    # The figure that counts is measured on a quiet machine (benchmarks/queue.py: 50 ms); this one holds on a busy one.
    assert times[len(times) * 95 // 100] < 500 * meanwhile.slowness()
