from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import update

from backend.contracts import CandidateProgress, Progress, utc_now
from backend.errors import ConflictError, NotFoundError
from backend.execution.trace import traced
from backend.jobs import events
from backend.jobs.events import EventLog
from backend.jobs.queue import JobQueue
from backend.storage.database import Database
from backend.storage.tables import jobs


def make_stale(database, job_id):
    with database.writing() as connection:
        long_ago = utc_now() - timedelta(minutes=5)
        connection.execute(update(jobs).where(jobs.c.job_id == job_id).values(heartbeat_at=long_ago))


def report(share=None, **candidate):
    row = CandidateProgress(**candidate) if candidate else None
    return Progress(stage="training", message="epoch 1", progress=share, candidate=row)


def test_a_job_comes_back_as_it_went_in(queue):
    job = queue.enqueue("train_images", {"seed": 1, "name": "größe"}, dataset_id="ds-1")
    assert queue.get(job.job_id) == job
    assert job.state == "queued"


def test_a_job_knows_the_request_that_started_it(queue):
    with traced("req-1"):
        job = queue.enqueue("a", {})
    assert queue.get(job.job_id).request_id == "req-1"
    assert queue.get(queue.enqueue("a", {}).job_id).request_id == ""


def test_the_census_counts_every_state(queue):
    for _ in range(3):
        queue.enqueue("a", {})
    running = queue.claim("w").job_id
    ended = queue.claim("w").job_id
    queue.fail(ended, "no", worker_id="w")
    assert queue.census() == {"queued": 1, "running": 1, "failed": 1}
    assert queue.get(running).state == "running"


def test_jobs_are_claimed_first_come_first_served(queue):
    made = [queue.enqueue("a", {}).job_id for _ in range(3)]
    assert [queue.claim("w").job_id for _ in range(3)] == made
    assert queue.claim("w") is None


def test_a_claimed_job_runs_and_its_attempt_is_counted(queue):
    queue.enqueue("a", {})
    job = queue.claim("w1")
    assert (job.state, job.attempts) == ("running", 1)
    assert job.started_at is not None


def test_many_workers_never_claim_the_same_job(database, queue):
    made = {queue.enqueue("a", {}).job_id for _ in range(20)}
    databases = [Database(str(database.url)) for _ in range(4)]

    def claim_all(place):
        own = JobQueue(databases[place])
        return [job.job_id for job in iter(lambda: own.claim(f"w{place}"), None)]

    with ThreadPoolExecutor(4) as pool:
        claimed = [job_id for part in pool.map(claim_all, range(4)) for job_id in part]
    assert sorted(claimed) == sorted(made)
    for other in databases:
        other.close()


def test_waiting_jobs_know_their_place(queue):
    first, second = queue.enqueue("a", {}), queue.enqueue("a", {})
    assert (queue.position(first.job_id), queue.position(second.job_id)) == (1, 2)
    queue.claim("w")
    assert (queue.position(first.job_id), queue.position(second.job_id)) == (None, 1)
    assert queue.position("job-none") is None
    assert queue.counts() == {"queued": 1, "running": 1}


def test_jobs_are_listed_newest_first_and_can_be_narrowed(queue):
    first = queue.enqueue("a", {}, dataset_id="ds-1")
    second = queue.enqueue("a", {}, dataset_id="ds-2")
    queue.claim("w")
    assert [job.job_id for job in queue.list()] == [second.job_id, first.job_id]
    assert [job.job_id for job in queue.list(state="running")] == [first.job_id]
    assert [job.job_id for job in queue.list(dataset_id="ds-2")] == [second.job_id]
    assert [job.job_id for job in queue.list(limit=1, offset=1)] == [first.job_id]


def test_progress_never_goes_back_and_candidates_are_replaced_by_name(queue):
    queue.enqueue("a", {})
    job_id = queue.claim("w").job_id
    queue.update_progress(job_id, report(0.5, name="r18", state="running"), report(name="vit"), worker_id="w")
    job = queue.update_progress(job_id, report(0.2, name="r18", state="succeeded", score=0.9), worker_id="w")
    assert job.progress == 0.5
    assert [(row.name, row.state, row.score) for row in job.candidates] == [
        ("r18", "succeeded", 0.9),
        ("vit", "queued", None),
    ]
    assert job.eta_s is not None
    assert queue.get(job_id) == job


def test_a_finished_job_is_complete(queue):
    queue.enqueue("a", {})
    job_id = queue.claim("w").job_id
    job = queue.finish(job_id, worker_id="w")
    assert (job.state, job.progress, job.eta_s) == ("succeeded", 1.0, 0.0)
    assert job.ended_at is not None


def test_a_failed_job_keeps_its_reason(queue):
    queue.enqueue("a", {})
    job_id = queue.claim("w").job_id
    queue.fail(job_id, "too few images", worker_id="w")
    assert (queue.get(job_id).state, queue.get(job_id).error) == ("failed", "too few images")


def test_a_waiting_job_is_cancelled_at_once(queue):
    job_id = queue.enqueue("a", {}).job_id
    assert queue.request_cancel(job_id).state == "cancelled"
    assert queue.claim("w") is None


def test_cancelling_a_running_job_asks_its_worker_and_keeps_finished_candidates(queue):
    queue.enqueue("a", {})
    job_id = queue.claim("w").job_id
    queue.update_progress(
        job_id, report(name="done", state="succeeded", score=0.8), report(name="open", state="running"), worker_id="w"
    )
    assert not queue.cancel_requested(job_id)
    assert queue.request_cancel(job_id).state == "running"
    assert queue.cancel_requested(job_id)
    job = queue.cancelled(job_id, worker_id="w")
    assert job.state == "cancelled"
    assert [(row.name, row.state) for row in job.candidates] == [("done", "succeeded"), ("open", "skipped")]


def test_cancelling_twice_is_the_same_as_once(queue):
    job_id = queue.enqueue("a", {}).job_id
    queue.request_cancel(job_id)
    assert queue.request_cancel(job_id).state == "cancelled"


def test_a_finished_job_cannot_be_cancelled(queue):
    queue.enqueue("a", {})
    job_id = queue.claim("w").job_id
    queue.finish(job_id, worker_id="w")
    with pytest.raises(ConflictError, match="already succeeded"):
        queue.request_cancel(job_id)


@pytest.mark.parametrize("method", ["get", "request_cancel"])
def test_an_unknown_job_is_named_with_the_next_step(queue, method):
    with pytest.raises(NotFoundError, match=r"job-none.*GET /api/cv/jobs"):
        getattr(queue, method)("job-none")


def test_a_lost_job_waits_again_and_fails_when_its_attempts_are_used_up(queue, database):
    job_id = queue.enqueue("a", {}).job_id
    queue.claim("w1")
    assert queue.requeue_lost(stale_after_s=60) == ()
    make_stale(database, job_id)
    (job,) = queue.requeue_lost(stale_after_s=60)
    assert job.state == "queued"
    assert "attempt 2 of 2" in job.message
    queue.claim("w2")
    make_stale(database, job_id)
    (job,) = queue.requeue_lost(stale_after_s=60)
    assert job.state == "failed"
    assert "2 of 2 attempts" in job.error
    assert "not heard of" in job.error


def test_a_lost_job_that_was_to_be_cancelled_is_cancelled(queue, database):
    job_id = queue.enqueue("a", {}).job_id
    queue.claim("w1")
    queue.request_cancel(job_id)
    make_stale(database, job_id)
    assert queue.requeue_lost(stale_after_s=60)[0].state == "cancelled"


def test_a_heartbeat_keeps_the_claim(queue, database):
    job_id = queue.enqueue("a", {}).job_id
    queue.claim("w1")
    make_stale(database, job_id)
    assert queue.heartbeat(job_id, worker_id="w1") is not None
    assert queue.requeue_lost(stale_after_s=60) == ()


def test_a_worker_that_lost_its_claim_changes_nothing(queue, database):
    job_id = queue.enqueue("a", {}).job_id
    queue.claim("w1")
    make_stale(database, job_id)
    queue.requeue_lost(stale_after_s=60)
    queue.claim("w2")
    assert queue.heartbeat(job_id, worker_id="w1") is None
    assert queue.update_progress(job_id, report(0.9), worker_id="w1") is None
    assert queue.finish(job_id, worker_id="w1") is None
    assert queue.fail(job_id, "x", worker_id="w1") is None
    assert (queue.get(job_id).state, queue.get(job_id).progress) == ("running", 0.0)


def test_a_job_given_back_on_purpose_keeps_its_attempts(queue):
    job_id = queue.enqueue("a", {}).job_id
    for _ in range(5):
        queue.claim("w")
        assert queue.release(job_id, "the worker was shut down", worker_id="w", refund=True).state == "queued"
    queue.claim("w")
    queue.release(job_id, "it died", worker_id="w")
    queue.claim("w")
    assert queue.release(job_id, "it died", worker_id="w").state == "failed"


def test_every_change_is_an_event_and_a_watcher_resumes_without_a_gap(queue, database):
    job_id = queue.enqueue("a", {"secret": 1}).job_id
    queue.enqueue("other", {})
    queue.claim("w")
    queue.update_progress(job_id, report(0.5), worker_id="w")
    queue.finish(job_id, worker_id="w")
    log = EventLog(database)
    events = log.since(job_id)
    assert [(event.type, event.data["state"]) for event in events] == [
        ("state", "queued"),
        ("state", "running"),
        ("progress", "running"),
        ("state", "succeeded"),
    ]
    assert log.since(job_id, after=events[1].event_id) == events[2:]
    assert log.since(job_id, after=10**30) == []
    assert "payload" not in events[0].data


def test_a_job_whose_worker_is_silent_is_cancelled_at_once(queue, database):
    job_id = queue.enqueue("a", {}).job_id
    queue.claim("w1")
    make_stale(database, job_id)
    assert queue.request_cancel(job_id).state == "cancelled"
    assert queue.heartbeat(job_id, worker_id="w1") is None  # should it come back, it learns that the job is gone


def test_a_job_to_be_cancelled_is_not_waited_for_as_long_as_another(queue, database):
    cancelled, other = (queue.enqueue("a", {}).job_id for _ in range(2))
    for job_id in (cancelled, other):
        queue.claim(f"w-{job_id}")
    queue.request_cancel(cancelled)
    with database.writing() as connection:
        connection.execute(update(jobs).values(heartbeat_at=utc_now() - timedelta(seconds=6)))
    assert [(job.job_id, job.state) for job in queue.requeue_lost(stale_after_s=20)] == [(cancelled, "cancelled")]


def test_old_reports_of_progress_go_and_changes_of_state_stay(queue, database, monkeypatch):
    monkeypatch.setattr(events, "KEPT_REPORTS", 5)
    log, ids = EventLog(database), []
    for _ in range(2):
        ids.append(queue.enqueue("a", {}).job_id)
        queue.claim("w")
        for step in range(12):
            queue.update_progress(ids[-1], report(step / 12), worker_id="w")
    queue.finish(ids[0], worker_id="w")
    assert log.prune() == 2 * (12 - 5)
    assert log.prune() == 0
    kept = log.since(ids[1])
    assert [event.type for event in kept] == ["state", "state", *["progress"] * 5]
    assert kept[-1].data["progress"] == 11 / 12
    with database.writing() as connection:
        connection.execute(update(jobs).where(jobs.c.job_id == ids[0]).values(ended_at=utc_now() - timedelta(hours=2)))
    assert log.prune() == 5
    assert [event.data["state"] for event in log.since(ids[0])] == ["queued", "running", "succeeded"]
    assert len(log.since(ids[1])) == 7


def test_events_of_several_jobs_are_read_in_one_go_each_from_its_place(queue, database):
    log = EventLog(database)
    first, second, _ = (queue.enqueue("a", {}).job_id for _ in range(3))
    seen = log.newest(first)
    queue.request_cancel(first)
    found = log.since_each({first: seen, second: 0})
    assert [(event.job_id, event.data["state"]) for event in found] == [(second, "queued"), (first, "cancelled")]
    assert log.since_each({}) == []
    assert log.newest("job-none") == 0


def test_deaths_count_in_a_row_only_where_nothing_was_done_between_them(database):
    queue = JobQueue(database, max_attempts=2)
    job = queue.enqueue("train", {})
    for _ in range(4):
        assert queue.claim("w").job_id == job.job_id
        queue.made_progress(job.job_id)
        assert queue.release(job.job_id, "it died", worker_id="w").state == "queued"
    queue.claim("w")
    assert queue.release(job.job_id, "it died", worker_id="w").state == "failed"
    queue.made_progress(job.job_id)  # one that has ended stays as it is
    assert queue.get(job.job_id).attempts == 2
