"""Watching jobs: one stream a job however many look, taken up again where it broke, let go when nobody looks."""

from __future__ import annotations

import json
import threading
import time

import httpx2
import pytest

from frontend import watching
from frontend.client import ApiError, Client
from frontend.watching import Watchers
from tests.waiting import PATIENCE_S, wait_until


@pytest.fixture
def watchers(api):
    watchers = Watchers(api)
    yield watchers
    watchers.close()


def listening(others):
    """Threads that watch, but for those of pages that other tests left open."""
    return [one for one in set(threading.enumerate()) - others if one.name.startswith("watch-")]


@pytest.fixture
def others():
    return set(threading.enumerate())


@pytest.fixture
def job(service):
    service.step = 0
    return service.add_job(service.add_dataset()["dataset_id"], state="running")


def test_ten_tabs_that_draw_again_and_again_cost_one_request_and_one_stream(service, watchers, job):
    def tab():
        for _ in range(20):
            watchers.look(job["job_id"])
            time.sleep(0.01)

    tabs = [threading.Thread(target=tab) for _ in range(10)]
    watchers.look(job["job_id"])
    for thread in tabs:
        thread.start()
    for thread in tabs:
        thread.join()
    wait_until(lambda: service.streams, "the stream has begun")
    assert (service.looks, service.streams) == (1, [job["job_id"]])


def test_what_happens_is_known_without_asking_until_the_job_has_ended(others, service, watchers, job):
    assert watchers.look(job["job_id"]).job["progress"] == 0.0
    job["progress"] = 0.5
    wait_until(lambda: watchers.look(job["job_id"]).job["progress"] == 0.5)
    job |= {"state": "succeeded", "progress": 1.0}
    wait_until(lambda: watchers.look(job["job_id"]).job["state"] == "succeeded")
    wait_until(lambda: not listening(others))
    assert service.looks == 1


def test_the_answer_to_cancel_is_shown_before_the_stream_says_it(watchers, job):
    watchers.look(job["job_id"])
    watchers.tell({**job, "cancel_requested": True})
    assert watchers.look(job["job_id"]).job["cancel_requested"] is True


def test_a_job_that_nobody_looks_at_is_let_go_and_taken_up_again(others, service, watchers, job, monkeypatch):
    watchers.look(job["job_id"])
    wait_until(lambda: len(service.streams) == 1)
    monkeypatch.setattr(watching, "IDLE_S", 0.0)
    job["progress"] = 0.1  # an event: the thread sees that nobody looks
    wait_until(lambda: not listening(others))
    monkeypatch.setattr(watching, "IDLE_S", 30.0)
    watchers.look(job["job_id"])
    wait_until(lambda: len(service.streams) == 2)


def test_an_unknown_job_is_the_service_s_answer(watchers):
    with pytest.raises(ApiError, match="job-none"):
        watchers.look("job-none")


def test_a_stream_that_breaks_is_said_and_taken_up_where_it_broke(monkeypatch):
    monkeypatch.setattr(watching, "PAUSES_S", (0.0,))
    asked, seen, job = [], threading.Event(), {"job_id": "job-1", "state": "running", "progress": 0.0}

    def event(number, **changes):
        return f"event: progress\nid: {number}\ndata: {json.dumps({**job, **changes})}\n\n".encode()

    def broken():
        yield b"retry: 1000\n\n: ping\n\n"
        yield event(7, progress=0.5)
        raise httpx2.ReadError("cut off")

    def handler(request):
        if not request.url.path.endswith("/events"):
            return httpx2.Response(200, json=job)
        asked.append(request.headers.get("Last-Event-ID"))
        if len(asked) == 1:
            return httpx2.Response(200, content=broken())
        assert seen.wait(PATIENCE_S)  # the problem stands until the next stream speaks
        return httpx2.Response(200, content=event(8, state="succeeded", progress=1.0))

    watchers = Watchers(Client("http://service.test", transport=httpx2.MockTransport(handler)))
    watchers.look("job-1")
    wait_until(lambda: watchers.look("job-1").problem is not None)
    assert "No answer" in watchers.look("job-1").problem.detail
    assert watchers.look("job-1").job["progress"] == 0.5
    seen.set()
    wait_until(lambda: watchers.look("job-1").job["state"] == "succeeded")
    assert asked == [None, "7"]
    assert watchers.look("job-1").problem is None
