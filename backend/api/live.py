"""Jobs as Server-Sent Events: one look into the log a tick for everybody who watches in this process.

Each watcher reads what lies behind it once, then waits to be handed what the one poller finds; a hundred watchers of a
job cost the database as much as one. It does not know HTTP: routes stream what `watch` yields.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from anyio import CapacityLimiter, to_thread
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from backend.contracts import FINAL_STATES, Job, JobEvent
from backend.errors import UnavailableError
from backend.jobs.events import EventLog, public_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.jobs.queue import JobQueue

logger = logging.getLogger(__name__)

POLL_S = 0.25
PLACES_EVERY = 4  # polls: places in the queue are told once a second
PING_S = 15.0  # proxies close a connection that is silent for 30 to 60 s
RETRY_MS = 1000
MOST_WAITING = 256  # of a watcher that reads slowly; beyond that it reads on from the log
PAGE = 500
AFTER_TROUBLE_S = 2.0


@dataclass(frozen=True)
class Told:
    """One event ready for the wire; all watchers share its bytes. `event_id` 0: not in the log."""

    event_id: int
    wire: bytes
    ends: bool = False


@dataclass(eq=False)
class _Watcher:
    """What waits for one connection."""

    waiting: asyncio.Queue[Told] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))
    missed: bool = False
    placed: int | None = None  # the place in the queue that it was told last

    def tell(self, told: Told) -> None:
        try:
            self.waiting.put_nowait(told)
        except asyncio.QueueFull:
            self.missed = True


@dataclass
class _Watched:
    """A job that somebody watches: how far the poller has read, and what it said last."""

    place: int
    job: dict[str, Any]
    position: int | None = None
    watchers: set[_Watcher] = field(default_factory=set)


class Live:
    """All watchers of one API process. Made outside, used inside the event loop."""

    def __init__(self, queue: JobQueue, events: EventLog) -> None:
        self._queue = queue
        self._events = events
        self._watched: dict[str, _Watched] = {}
        self._poller: asyncio.Task[None] | None = None

    async def watch(self, job_id: str, *, after: int = 0) -> AsyncGenerator[bytes, None]:
        """The job's events after that id, as they stand on the wire, until it has ended; comments in long silences.

        The job's end is an event like any other, so nothing is missed before it.

        Raises:
            NotFoundError: no such job.
        """
        job = await to_thread.run_sync(self._queue.get, job_id)
        newest = await to_thread.run_sync(self._events.newest, job_id)
        after = min(after, newest)  # an id that nobody was given yet would hide all that comes
        yield format_sse_event(retry=RETRY_MS)
        with self._registered(job, newest) as watcher:
            try:
                while True:
                    for told in await self._behind(job_id, after):
                        after = told.event_id
                        yield told.wire
                        if told.ends:
                            return
                    if job.state in FINAL_STATES:
                        return
                    async with aclosing(self._ahead(job, watcher)) as ahead:
                        async for told in ahead:
                            if 0 < told.event_id <= after:
                                continue
                            after = told.event_id or after
                            yield told.wire
                            if told.ends:
                                return
            except UnavailableError:
                logger.warning("stream broken off: the database does not answer", extra={"job_id": job_id})

    async def ended(self, job: Job, *, within_s: float) -> Job:
        """The job as it stands when it has ended or the time is up."""
        with anyio.move_on_after(within_s):
            async with aclosing(self.watch(job.job_id)) as events:
                async for _ in events:
                    pass
        return await to_thread.run_sync(self._queue.get, job.job_id)

    async def _behind(self, job_id: str, after: int) -> list[Told]:
        """Everything that the log holds after that id."""
        found: list[JobEvent] = []
        while True:
            page = await to_thread.run_sync(partial(self._events.since, job_id, after=after, limit=PAGE))
            found += page
            if len(page) < PAGE:
                return [_told(event) for event in found]
            after = page[-1].event_id

    async def _ahead(self, job: Job, watcher: _Watcher) -> AsyncGenerator[Told, None]:
        """What the poller finds, until the watcher has missed something and must read the log again."""
        watched = self._watched[job.job_id]
        if watched.position is None and watched.job["state"] == "queued":
            found = await to_thread.run_sync(self._queue.position, job.job_id)
            watched.position = found if watched.position is None else watched.position
        if watched.position not in (None, watcher.placed):  # the poller may have been first
            watcher.placed = watched.position
            yield _place(watched)
        while not (watcher.missed and watcher.waiting.empty()):
            try:
                told = await asyncio.wait_for(watcher.waiting.get(), PING_S)
            except TimeoutError:
                told = Told(0, KEEPALIVE_COMMENT)
            yield told
        watcher.missed, watcher.placed = False, None

    @contextmanager
    def _registered(self, job: Job, newest: int) -> Iterator[_Watcher]:
        """From here on the poller tells this watcher all that comes after `newest`, and maybe some before it."""
        watcher = _Watcher()
        watched = self._watched.setdefault(job.job_id, _Watched(place=newest, job=public_job(job)))
        watched.watchers.add(watcher)
        if self._poller is None or self._poller.done() or self._poller.get_loop() is not asyncio.get_running_loop():
            self._poller = asyncio.create_task(self._poll(), name="job-events")
        try:
            yield watcher
        finally:
            watched.watchers.discard(watcher)
            if not watched.watchers and self._watched.get(job.job_id) is watched:
                del self._watched[job.job_id]

    async def _poll(self) -> None:
        """Look into the log while anybody watches."""
        limiter, tick = CapacityLimiter(1), 0  # of its own: uploads that use up the ordinary threads do not stop it
        while self._watched:
            try:
                places = {job_id: watched.place for job_id, watched in self._watched.items()}
                for event in await to_thread.run_sync(self._events.since_each, places, limiter=limiter):
                    self._hand_out(event)
                if tick % PLACES_EVERY == 0:
                    await self._tell_places(limiter)
            except UnavailableError:
                logger.warning("the database does not answer; watchers wait")
                await asyncio.sleep(AFTER_TROUBLE_S)
            tick += 1
            await asyncio.sleep(POLL_S)

    def _hand_out(self, event: JobEvent) -> None:
        watched = self._watched.get(event.job_id)
        if watched is None or event.event_id <= watched.place:
            return
        watched.place, watched.job = event.event_id, event.data
        if event.data["state"] != "queued":
            watched.position = None
        told = _told(event)
        for watcher in watched.watchers:
            watcher.tell(told)

    async def _tell_places(self, limiter: CapacityLimiter) -> None:
        """Say who moved up in the queue. This is no event of the log: nothing of the job itself has changed."""
        waiting = [job_id for job_id, watched in self._watched.items() if watched.job["state"] == "queued"]
        if not waiting:
            return
        found = defaultdict(int, await to_thread.run_sync(self._queue.positions, waiting, limiter=limiter))
        for job_id in waiting:
            watched = self._watched.get(job_id)
            if watched is not None and found[job_id] not in (0, watched.position):
                watched.position = found[job_id]
                for watcher in watched.watchers:
                    watcher.placed = watched.position
                    watcher.tell(_place(watched))


def _told(event: JobEvent) -> Told:
    wire = format_sse_event(data_str=json.dumps(event.data), event=event.type, id=str(event.event_id))
    return Told(event.event_id, wire, event.type == "state" and event.data["state"] in FINAL_STATES)


def _place(watched: _Watched) -> Told:
    data = {**watched.job, "queue_position": watched.position}
    return Told(0, format_sse_event(data_str=json.dumps(data), event="position"))
