"""One lasting line to a process that answers many questions at once: the end in the event loop.

It does not know what is asked. Questions cross as they come and answers in any order, without a thread here: the socket
belongs to the event loop. Everything runs in that loop's thread.

A process that dies is replaced, and what it had not answered is asked once more: one question after the other, so that
one which kills the process takes only itself along. New questions do not wait for that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from backend.errors import UnavailableError
from backend.execution.admission import Admission
from backend.execution.answer_wire import Main, Note, Wire, connect

logger = logging.getLogger(__name__)

# How often those who wait are looked after: callers that went away, a process that hangs.
LOOK_S = 0.25
MOST_ATTEMPTS = 2
# A process that dies again and again before it is ready is not started without end.
START_PAUSE_S = 1.0

CLOSED = "The service is shutting down."
DIED = (
    "The prediction process died twice on this request; the machine may be out of memory. "
    "Try a smaller image, or a smaller network."
)

Gone = Callable[[], Awaitable[bool]]


class CallerGone(Exception):  # no fault: nobody waits for the answer any more
    """Whoever asked has hung up."""


@dataclass(slots=True, eq=False)
class _Question:
    number: int
    content: Any
    future: asyncio.Future[Any]
    gone: Gone | None
    asked: float
    attempts: int = 0


class AnswerLine:
    """Asks a process that is started at the first question; `main` is what it runs, with its end of the line."""

    def __init__(self, main: Main, *, admission: Admission, on_note: Note, timeout_s: float) -> None:
        self._main = main
        self.admission = admission
        self._on_note = on_note
        self._timeout_s = timeout_s
        self._open: dict[int, _Question] = {}
        self._again: deque[_Question] = deque()
        self._wire: Wire | None = None
        self._starting: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._numbers = 0
        self._heard = 0.0
        self._closed = False
        self.deaths = 0

    async def ask(self, content: Any, *, size: int | None = None, gone: Gone | None = None) -> Any:
        """The process's answer; what it raised is raised here. `gone` says whether the caller has hung up.

        `size` is the question's in bytes; without one it takes no place in the queue.

        Raises:
            BusyError: too many wait already.
            UnavailableError: the process died twice on this question, gave no answer in time, or the service ends.
            CallerGone: the caller has hung up meanwhile.
        """
        if self._closed:
            raise UnavailableError(CLOSED)
        now = time.monotonic()
        if size is not None:
            self.admission.check(now)
            self.admission.enter(size, now)
        self._numbers += 1
        question = _Question(self._numbers, content, asyncio.get_running_loop().create_future(), gone, now)
        self._open[question.number] = question
        try:
            self._send(question)
            if self._looking is None:
                self._looking = asyncio.create_task(self._look_after())
            return await question.future
        finally:
            if size is not None:
                self.admission.leave(size, time.monotonic())
            if self._open.pop(question.number, None) is not None and self._wire is not None:
                self._wire.send(("withdraw", question.number, None))  # the caller's task was cancelled

    def start(self) -> None:
        """Begin to start the process, where there is none."""
        if self._wire is None and self._starting is None and not self._closed:
            self._starting = asyncio.create_task(self._start())

    def close(self) -> None:
        """End the process; who waits gets an UnavailableError."""
        self._closed = True
        for task in (self._starting, self._looking):
            if task is not None:
                task.cancel()
        for question in self._open.values():
            _fail(question, UnavailableError(CLOSED))
        self._open.clear()
        self._again.clear()
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.end()

    @property
    def process_id(self) -> int | None:
        return None if self._wire is None else self._wire.process.pid

    # -- one process after the other

    async def _start(self) -> None:
        try:
            while not self._closed:
                try:
                    wire = await connect(self._main, self._take, self._lost)
                except OSError as error:  # no memory, no descriptors: the questions wait for better times
                    logger.warning("prediction process not started", extra={"reason": str(error)})
                    await asyncio.sleep(START_PAUSE_S)
                    continue
                if self._ended():  # meanwhile
                    wire.end()
                    return
                self._wire, self._heard = wire, time.monotonic()
                self._send_all()
                return
        finally:
            self._starting = None

    def _ended(self) -> bool:
        return self._closed

    def _send_all(self) -> None:
        """Ask a fresh process what is open: what killed another may kill this one too, so that goes one by one."""
        for question in list(self._open.values()):
            if question.attempts == 0:
                self._send(question)
        self._send_next_again()

    def _send_next_again(self) -> None:
        while self._again and self._again[0].future.done():
            self._again.popleft()
        if self._again and self._wire is not None and self._again[0].attempts < MOST_ATTEMPTS:
            self._again[0].attempts += 1
            self._transmit(self._again[0])

    def _send(self, question: _Question) -> None:
        if self._wire is None:
            self.start()
            return
        question.attempts += 1
        self._transmit(question)

    def _transmit(self, question: _Question) -> None:
        if self._wire is not None:
            self._wire.send(("ask", question.number, question.content))

    def _lost(self, wire: Wire) -> None:
        """The process has died, or was ended because it hung."""
        if self._wire is not wire:
            return
        self._wire = None
        self.deaths += 1
        wire.end()
        if self._closed:
            return
        logger.warning("prediction process died", extra={"questions": len(self._open), "code": wire.process.exitcode})
        for question in list(self._open.values()):
            if question.attempts >= MOST_ATTEMPTS:
                self._open.pop(question.number)
                _fail(question, UnavailableError(DIED))
        self._again = deque(question for question in self._open.values() if question.attempts)
        if self._open:
            self.start()

    def _take(self, message: Any) -> None:
        """What the process says: answers to questions, or a note about itself."""
        self._heard = time.monotonic()
        kind, content = message
        if kind != "answers":
            self._on_note(message)
            return
        for number, outcome in content:
            question = self._open.pop(number, None)
            if question is None or question.future.done():
                continue
            if isinstance(outcome, BaseException):
                question.future.set_exception(outcome)
            else:
                question.future.set_result(outcome)
        if self._again and self._again[0].future.done():
            self._send_next_again()

    # -- those who wait

    async def _look_after(self) -> None:
        try:
            while self._open:
                await asyncio.sleep(LOOK_S)
                await self._let_go()
                self._end_what_hangs()
        finally:
            self._looking = None

    async def _let_go(self) -> None:
        """Free the places of callers that have hung up."""
        long_ago = time.monotonic() - LOOK_S
        for question in list(self._open.values()):
            if question.gone is None or question.asked > long_ago or question.future.done():
                continue
            if await question.gone() and self._open.pop(question.number, None) is not None:
                if self._wire is not None:
                    self._wire.send(("withdraw", question.number, None))
                _fail(question, CallerGone())

    def _end_what_hangs(self) -> None:
        wire, now = self._wire, time.monotonic()
        if wire is None or now - self._heard < self._timeout_s:
            return
        oldest = min((question.asked for question in self._open.values() if question.attempts), default=now)
        if now - oldest >= self._timeout_s:
            logger.warning("prediction process gave no sign of life", extra={"seconds": round(now - self._heard)})
            self._lost(wire)


def _fail(question: _Question, error: Exception) -> None:
    if not question.future.done():
        question.future.set_exception(error)
