import asyncio
import json
import threading
import time

import httpx2
import pytest
import uvicorn

from backend.api import live as live_module
from backend.api.live import Live
from backend.contracts import Progress
from backend.errors import NotFoundError, UnavailableError
from backend.jobs.events import EventLog
from tests.waiting import PATIENCE_S, wait_until


@pytest.fixture
def queue(services):
    return services.queue


@pytest.fixture
def log(services):
    return EventLog(services.database)


def running_job(queue, *, reports=0):
    job_id = queue.enqueue("train_images", {}).job_id
    queue.claim("w")
    for step in range(reports):
        tell(queue, job_id, step)
    return job_id


def tell(queue, job_id, step):
    queue.update_progress(job_id, Progress(stage="s", message=f"step {step}", progress=0.01), worker_id="w")


def fields_of(wire):
    """The fields of one event on the wire; none for a comment or the retry line."""
    return dict(line.split(": ", 1) for line in wire.decode().splitlines() if ": " in line and line[0] != ":")


def seen(wires):
    """(id, event, message) of each event."""
    found = [fields_of(wire) for wire in wires]
    return [(one.get("id"), one["event"], json.loads(one["data"])["message"]) for one in found if "data" in one]


async def collect(live, job_id, after=0, into=None):
    wires = [] if into is None else into
    async for wire in live.watch(job_id, after=after):
        wires.append(wire)
    return wires


async def until(fact):
    async with asyncio.timeout(PATIENCE_S):
        while not fact():  # noqa: ASYNC110 - what other threads do, and other tasks have seen
            await asyncio.sleep(0.01)


def test_every_watcher_sees_every_event_and_all_of_them_cost_one_look_a_tick(queue, log, monkeypatch):
    looks = []
    real = log.since_each
    monkeypatch.setattr(log, "since_each", lambda places: looks.append(dict(places)) or real(places))
    monkeypatch.setattr(live_module, "POLL_S", 0.05)
    job_id = running_job(queue, reports=3)

    async def watch():
        live = Live(queue, log)
        began, streams = time.monotonic(), [[] for _ in range(10)]
        watchers = [asyncio.create_task(collect(live, job_id, into=one)) for one in streams]
        for step in range(3, 8):
            await until(lambda: all(len(seen(one)) == len(log.since(job_id)) for one in streams))
            tell(queue, job_id, step)
        queue.finish(job_id, worker_id="w")
        await asyncio.wait_for(asyncio.gather(*watchers), PATIENCE_S)
        await asyncio.wait_for(live._poller, PATIENCE_S)  # nobody watches: it ends
        return streams, time.monotonic() - began

    streams, seconds = asyncio.run(watch())
    everything = [(str(event.event_id), event.type, event.data["message"]) for event in log.since(job_id)]
    assert all(seen(stream) == everything for stream in streams)
    assert 3 <= len(looks) <= seconds / 0.05 + 2  # by the clock, not by the number of watchers, ten times as often
    assert all(set(places) == {job_id} for places in looks)


def test_a_watcher_that_reads_slowly_misses_nothing(queue, log, monkeypatch):
    monkeypatch.setattr(live_module, "POLL_S", 0.01)
    monkeypatch.setattr(live_module, "MOST_WAITING", 2)
    job_id = running_job(queue)

    async def watch():
        wires = []
        stream = Live(queue, log).watch(job_id)
        async for wire in stream:
            wires.append(wire)
            if len(wires) == 3:  # it has begun to wait; a great deal happens before it reads on
                for step in range(40):
                    tell(queue, job_id, step)
                    await asyncio.sleep(0.002)
                queue.finish(job_id, worker_id="w")
                await asyncio.sleep(0.2)  # longer than the poller's pause: it overflows meanwhile, or it reads the log
        return wires

    assert [int(number) for number, _, _ in seen(asyncio.run(watch()))] == [
        event.event_id for event in log.since(job_id)
    ]


def places_in(wires):
    return [json.loads(fields_of(wire)["data"])["queue_position"] for wire in wires if b"event: position" in wire]


def test_silence_is_filled_with_comments_and_the_place_in_the_queue_is_told_as_it_changes(queue, log, monkeypatch):
    monkeypatch.setattr(live_module, "POLL_S", 0.02)
    monkeypatch.setattr(live_module, "PING_S", 0.1)
    first, second = queue.enqueue("train_images", {}).job_id, queue.enqueue("train_images", {}).job_id

    async def watch():
        wires = []
        task = asyncio.create_task(collect(Live(queue, log), second, into=wires))
        await until(lambda: places_in(wires) and any(wire.startswith(b":") for wire in wires))
        queue.request_cancel(first)
        await until(lambda: len(places_in(wires)) > 1)
        queue.request_cancel(second)
        return await asyncio.wait_for(task, PATIENCE_S)

    wires = asyncio.run(watch())
    assert places_in(wires) == [2, 1]
    assert all(b"\nid: " not in wire for wire in wires if b"event: position" in wire)  # Last-Event-ID stays the log's
    assert any(wire.startswith(b":") for wire in wires)


def test_an_id_that_nobody_was_given_hides_nothing_that_comes(queue, log, monkeypatch):
    monkeypatch.setattr(live_module, "POLL_S", 0.02)
    job_id = running_job(queue)

    async def watch():
        live = Live(queue, log)
        task = asyncio.create_task(collect(live, job_id, after=10**12))
        await until(lambda: live._watched)
        queue.finish(job_id, worker_id="w")
        return await asyncio.wait_for(task, PATIENCE_S)

    assert [kind for _, kind, _ in seen(asyncio.run(watch()))] == ["state"]


def test_an_unknown_job_is_not_watched(queue, log):
    with pytest.raises(NotFoundError):
        asyncio.run(collect(Live(queue, log), "job-none"))


def test_a_database_that_does_not_answer_is_waited_for(queue, log, monkeypatch):
    monkeypatch.setattr(live_module, "POLL_S", 0.02)
    monkeypatch.setattr(live_module, "AFTER_TROUBLE_S", 0.05)
    job_id, real, failures = running_job(queue), log.since_each, [1, 1]

    def since_each(places):
        if failures:
            failures.pop()
            raise UnavailableError("database is locked")
        return real(places)

    monkeypatch.setattr(log, "since_each", since_each)

    async def watch():
        task = asyncio.create_task(collect(Live(queue, log), job_id))
        await until(lambda: not failures)
        queue.finish(job_id, worker_id="w")
        return await asyncio.wait_for(task, PATIENCE_S)

    assert seen(asyncio.run(watch()))[-1][1:] == ("state", "Done.")


def test_waiting_for_the_end_stops_at_the_end_or_at_the_time(queue, log, monkeypatch):
    monkeypatch.setattr(live_module, "POLL_S", 0.02)
    job = queue.get(running_job(queue))

    async def wait():
        live = Live(queue, log)
        began = time.monotonic()
        assert (await live.ended(job, within_s=0.2)).state == "running"
        assert 0.15 < time.monotonic() - began < PATIENCE_S / 2
        queue.finish(job.job_id, worker_id="w")
        return await live.ended(job, within_s=PATIENCE_S)

    assert asyncio.run(wait()).state == "succeeded"


@pytest.fixture
def address(app):
    """The application on a real port: a dropped connection is something that only a real one can show."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False, lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the server listens")
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def read_some(address, job_id, after, count):
    """Read up to `count` events, then hang up; [] where the service says not to come back."""
    found, current = [], {}
    headers = {"Last-Event-ID": str(after)} if after else {}
    with httpx2.stream("GET", f"{address}/api/cv/jobs/{job_id}/events", headers=headers, timeout=PATIENCE_S) as answer:
        if answer.status_code == 204:
            return found, True
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                current[name] = value
            elif "id" in current:
                found.append((int(current["id"]), json.loads(current["data"])["state"]))
                current = {}
                if len(found) == count:
                    return found, False
    return found, False


def test_a_watcher_that_is_cut_off_again_and_again_sees_each_event_once(app, address):
    services = app.state.services
    job_id = running_job(services.queue)

    def work():
        for step in range(25):
            tell(services.queue, job_id, step)
            time.sleep(0.02)
        services.queue.finish(job_id, worker_id="w")

    worker = threading.Thread(target=work)
    worker.start()
    found, over = [], False
    while not over:
        part, over = read_some(address, job_id, found[-1][0] if found else 0, 3)
        found += part
    worker.join()
    assert [number for number, _ in found] == [event.event_id for event in services.events.since(job_id)]
    assert found[-1][1] == "succeeded"
    wait_until(lambda: not services.live._watched, "nobody who hung up is still fed")


def test_a_new_watcher_may_begin_with_the_last_event(client, services):
    job_id = running_job(services.queue, reports=5)
    services.queue.finish(job_id, worker_id="w")
    text = client.get(f"/api/cv/jobs/{job_id}/events?newest=true").text
    assert text.count("data: ") == 1
    assert '"state": "succeeded"' in text
