"""Many pictures at once: decoded beside the forward pass, and computed together as they come.

A forward pass takes what is ready at that moment, up to the size that the network computes fastest, and never waits for
more: a lone picture is computed at once, a flood fills its own batches. Each picture fails or succeeds alone. It knows
models as folders and answers as finished JSON, and no HTTP.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.contracts.serving import Ask, BatchNote
from backend.data.images import open_image
from backend.errors import SightglassError
from backend.inference.model_cache import ModelCache
from backend.inference.predictor import Predictor, Prepared
from backend.inference.replies import finished

log = logging.getLogger(__name__)

Reply = Callable[[list[tuple[int, Any]], BatchNote | None], None]
Shapes = tuple[tuple[int, ...], ...]


@dataclass(slots=True, eq=False)
class _Ticket:
    """One picture on its way; `ask` None only warms a model up."""

    number: int
    folder: Path
    ask: Ask | None
    arrived: float
    predictor: Predictor | None = None
    prepared: Prepared = ()


@dataclass(slots=True, eq=False)
class _Ready:
    """Pictures of one shape for one model that wait for a forward pass, and how many passes run."""

    predictor: Predictor
    tickets: deque[_Ticket] = field(default_factory=deque)
    running: int = 0


class Batcher:
    """Answers `Ask`s through `reply`, which threads of its own call. `threads` is how many cores there are."""

    def __init__(self, models: ModelCache, reply: Reply, *, threads: int, max_pixels: int) -> None:
        self._models = models
        self._reply = reply
        self._max_pixels = max_pixels
        self._withdrawn: set[int] = set()
        self._inside: set[int] = set()
        self._undecoded: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._unloaded: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._ready: dict[tuple[int, Shapes], _Ready] = {}
        self._condition = threading.Condition()
        self._idle = 0
        self._closed = False
        # Two decoders even on one core: a picture of 100 megapixels then holds up half of the others at most.
        decoders = max(2, threads)
        self._workers = [
            *(threading.Thread(target=self._decode, name=f"decode-{place}", daemon=True) for place in range(decoders)),
            *(threading.Thread(target=self._compute, name=f"forward-{place}", daemon=True) for place in range(threads)),
            threading.Thread(target=self._load, name="load-models", daemon=True),
        ]
        for worker in self._workers:
            worker.start()

    def take(self, number: int, ask: Ask) -> None:
        """A picture; returns at once."""
        self._admit(_Ticket(number, Path(ask.model_folder), ask, time.perf_counter()))

    def prepare(self, number: int, model_folder: str) -> None:
        """Load a model and warm it up; the answer is None."""
        self._inside.add(number)
        self._unloaded.put(_Ticket(number, Path(model_folder), None, time.perf_counter()))

    def withdraw(self, number: int) -> None:
        """Nobody waits for this one any more; what has not been decoded yet never will be."""
        if number in self._inside:
            self._withdrawn.add(number)

    def close(self) -> None:
        """Stop the threads; what has not been answered stays so."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        for _ in self._workers:
            self._undecoded.put(None)
        self._unloaded.put(None)
        for worker in self._workers:
            worker.join(5)

    def _admit(self, ticket: _Ticket) -> None:
        self._inside.add(ticket.number)
        ticket.predictor = self._models.peek(ticket.folder)
        (self._unloaded if ticket.predictor is None else self._undecoded).put(ticket)

    # -- one thread that reads models from the disk, so that pictures of loaded ones go on

    def _load(self) -> None:
        while (ticket := self._unloaded.get()) is not None:
            try:
                ticket.predictor = self._models.get(ticket.folder)
                if ticket.ask is None:
                    ticket.predictor.warm_up()
                    self._answer([(ticket.number, None)])
                    continue
            except Exception as error:  # noqa: BLE001 - a worker's edge: it goes to whoever asked
                self._fail([ticket], error)
            else:
                self._undecoded.put(ticket)

    # -- several that decode; Pillow lets go of the interpreter meanwhile

    def _decode(self) -> None:
        while (ticket := self._undecoded.get()) is not None:
            if ticket.number in self._withdrawn:
                self._forget([ticket])
                continue
            try:
                self._decode_one(ticket)
            except Exception as error:  # noqa: BLE001 - a worker's edge: it goes to whoever asked
                self._fail([ticket], error)

    def _decode_one(self, ticket: _Ticket) -> None:
        assert ticket.predictor is not None and ticket.ask is not None  # noqa: S101, PT018 - loaded before decoded
        ticket.prepared = ticket.predictor.prepared(open_image(ticket.ask.image, max_pixels=self._max_pixels))
        ticket.ask = ticket.ask._replace(image=b"")
        key = (id(ticket.predictor), tuple(array.shape for array in ticket.prepared))
        with self._condition:
            group = self._ready.get(key)
            if group is None:
                group = self._ready[key] = _Ready(ticket.predictor)
            _queue_by_arrival(group.tickets, ticket)
            self._condition.notify()

    # -- as many as cores that compute

    def _compute(self) -> None:
        while (taken := self._next_batch()) is not None:
            group, tickets = taken
            try:
                self._compute_batch(group.predictor, tickets)
            except Exception as error:  # noqa: BLE001 - a worker's edge: it goes to whoever asked
                self._compute_alone(group.predictor, tickets, error)
            finally:
                with self._condition:
                    group.running -= 1
                    if not group.running and not group.tickets:
                        self._ready = {key: other for key, other in self._ready.items() if other is not group}
                    self._condition.notify()

    def _next_batch(self) -> tuple[_Ready, list[_Ticket]] | None:
        """What to compute next: of the model whose picture waits longest, a fair share of what is ready."""
        with self._condition:
            self._idle += 1
            try:
                while not self._closed:
                    able = [group for group in self._ready.values() if group.tickets and _has_lane(group)]
                    if able:
                        group = min(able, key=lambda one: one.tickets[0].arrived)
                        return group, self._share(group)
                    self._condition.wait()
            finally:
                self._idle -= 1
        return None

    def _share(self, group: _Ready) -> list[_Ticket]:
        # Two idle threads take half each: together they are done sooner than one after the other.
        lanes = max(1, min(self._idle, group.predictor.lanes - group.running))
        count = min(group.predictor.batch_size, math.ceil(len(group.tickets) / lanes))
        group.running += 1
        return [group.tickets.popleft() for _ in range(count)]

    def _compute_batch(self, predictor: Predictor, tickets: list[_Ticket]) -> None:
        begun = time.perf_counter()
        answer = predictor.answer([ticket.prepared for ticket in tickets])
        done = time.perf_counter()
        answers = finished(
            predictor,
            answer,
            top_k=[ticket.ask.top_k if ticket.ask else None for ticket in tickets],
            latency_ms=[round(1000 * (done - ticket.arrived), 2) for ticket in tickets],
        )
        note = BatchNote(len(tickets), done - begun, tuple(begun - ticket.arrived for ticket in tickets))
        self._answer([(ticket.number, answer) for ticket, answer in zip(tickets, answers, strict=True)], note)

    def _compute_alone(self, predictor: Predictor, tickets: list[_Ticket], error: Exception) -> None:
        """What a batch could not be computed for may be one of its pictures: each is tried by itself."""
        if len(tickets) == 1:
            self._fail(tickets, error)
            return
        for ticket in tickets:
            try:
                self._compute_batch(predictor, [ticket])
            except Exception as own:  # noqa: BLE001 - as above
                self._fail([ticket], own)

    # -- out

    def _fail(self, tickets: list[_Ticket], error: Exception) -> None:
        if not isinstance(error, SightglassError):
            log.error("prediction failed", exc_info=error, extra={"pictures": len(tickets)})
        self._answer([(ticket.number, error) for ticket in tickets])

    def _answer(self, outcomes: list[tuple[int, Any]], note: BatchNote | None = None) -> None:
        for number, _ in outcomes:
            self._inside.discard(number)
            self._withdrawn.discard(number)
        self._reply(outcomes, note)

    def _forget(self, tickets: list[_Ticket]) -> None:
        for ticket in tickets:
            self._inside.discard(ticket.number)
            self._withdrawn.discard(ticket.number)


def _queue_by_arrival(waiting: deque[_Ticket], ticket: _Ticket) -> None:
    # A small picture may be decoded before a large one that came earlier; it shall not be answered before it as well.
    place = len(waiting)
    while place and waiting[place - 1].arrived > ticket.arrived:
        place -= 1
    waiting.insert(place, ticket)


def _has_lane(group: _Ready) -> bool:
    return group.running < group.predictor.lanes
