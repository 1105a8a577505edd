import json
import threading

import pytest

from backend.contracts import CandidateProgress, Progress
from tests.waiting import wait_until


@pytest.fixture
def job_id(services):
    return services.queue.enqueue("train_images", {"seed": 1}).job_id


def events_of(answer):
    """The (id, event, data) of each event in a stream."""
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


def test_jobs_are_listed_newest_first_and_can_be_narrowed(client, services, job_id):
    second = services.queue.enqueue("train_images", {}, dataset_id="ds-2").job_id
    services.queue.claim("w")
    assert [row["job_id"] for row in client.get("/api/cv/jobs").json()] == [second, job_id]
    assert [row["job_id"] for row in client.get("/api/cv/jobs?state=running").json()] == [job_id]
    assert [row["job_id"] for row in client.get("/api/cv/jobs?dataset_id=ds-2").json()] == [second]
    assert [row["job_id"] for row in client.get("/api/cv/jobs?limit=1&offset=1").json()] == [job_id]


@pytest.mark.parametrize(
    "query", ["limit=-1", "limit=0", "limit=" + "9" * 400, "offset=-1", "offset=1e99", "state=odd", "dataset_id=%00"]
)
def test_an_impossible_list_is_refused(shared_client, query):
    assert shared_client.get(f"/api/cv/jobs?{query}").status_code == 422


def test_a_running_job_shows_its_candidates(client, services, job_id):
    services.queue.claim("w")
    standing = {"state": "running", "stage": "epoch", "epoch": 1, "epochs": 2, "score": 0.5}
    row = CandidateProgress(name="resnet18", tried="all stages, 2 epochs", seconds=1.5, **standing)
    services.queue.update_progress(
        job_id, Progress(stage="training", message="m", progress=0.5, candidate=row), worker_id="w"
    )
    body = client.get(f"/api/cv/jobs/{job_id}").json()
    assert (body["state"], body["progress"], body["queue_position"]) == ("running", 0.5, None)
    assert body["candidates"] == [
        {"name": "resnet18", **standing, "reason": None, "tried": "all stages, 2 epochs", "seconds": 1.5}
    ]
    assert body["started_at"].endswith("Z")


def test_cancelling_is_accepted_and_a_second_time_too(client, job_id):
    for _ in range(2):
        answer = client.post(f"/api/cv/jobs/{job_id}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")


def test_a_finished_job_cannot_be_cancelled(client, services, job_id):
    services.queue.claim("w")
    services.queue.finish(job_id, worker_id="w")
    assert client.post(f"/api/cv/jobs/{job_id}/cancel").status_code == 409


def test_events_are_streamed_until_the_job_has_ended(client, services, job_id):
    def work():
        services.queue.claim("w")
        wait_until(lambda: services.live._watched, "somebody watches")
        services.queue.update_progress(job_id, Progress(stage="s", message="m", progress=0.5), worker_id="w")
        services.queue.finish(job_id, worker_id="w")

    worker = threading.Thread(target=work)
    worker.start()
    answer = client.get(f"/api/cv/jobs/{job_id}/events")
    worker.join()
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [(kind, data["state"]) for _, kind, data in events_of(answer)] == [
        ("state", "queued"),
        ("state", "running"),
        ("progress", "running"),
        ("state", "succeeded"),
    ]


def test_a_watcher_resumes_without_a_gap(client, services, job_id):
    services.queue.claim("w")
    services.queue.finish(job_id, worker_id="w")
    everything = events_of(client.get(f"/api/cv/jobs/{job_id}/events"))
    seen = everything[0][0]
    rest = client.get(f"/api/cv/jobs/{job_id}/events", headers={"Last-Event-ID": str(seen)})
    assert events_of(rest) == everything[1:]


def test_a_watcher_who_has_seen_the_end_is_told_not_to_come_back(client, services, job_id):
    services.queue.request_cancel(job_id)
    last = events_of(client.get(f"/api/cv/jobs/{job_id}/events"))[-1][0]
    answer = client.get(f"/api/cv/jobs/{job_id}/events", headers={"Last-Event-ID": str(last)})
    assert answer.status_code == 204


@pytest.mark.parametrize("odd", ["", "x", "-1", "1.5", "\x7f", "9" * 400, "²", "٣", "0x10"])
def test_an_odd_last_event_id_starts_from_the_beginning(client, services, job_id, odd):
    services.queue.request_cancel(job_id)
    answer = client.get(f"/api/cv/jobs/{job_id}/events", headers={"Last-Event-ID": odd.encode()})
    assert answer.status_code == 200
    assert len(events_of(answer)) == 2


def test_an_id_beyond_all_events_ends_the_stream(client, services, job_id):
    services.queue.request_cancel(job_id)
    headers = {"Last-Event-ID": "9" * 19}
    assert client.get(f"/api/cv/jobs/{job_id}/events", headers=headers).status_code == 204
