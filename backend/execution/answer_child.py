"""The other end of an `AnswerLine`: a process that reads questions and hands them on; answers go back as they are made.

It does not know what is asked: how to answer is handed in. It leaves with its parent, however that ends.
"""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from backend.config import Settings
from backend.errors import SightglassError
from backend.execution.child import stay_with_parent
from backend.execution.frames import messages, packed
from backend.execution.logs import configure_logging
from backend.execution.native import prepare_native_libraries

logger = logging.getLogger(__name__)

Outcome = tuple[int, Any]


class Replies(Protocol):
    """How answers leave; any thread may call."""

    def answer(self, outcomes: list[Outcome], *, about: Any = None) -> None:
        """Question numbers with their answers, and what there is to say about them all together.

        An exception is raised where the question was asked.
        """

    def note(self, kind: str, content: Any) -> None:
        """Something about this process."""


class Answerer(Protocol):
    """Answers questions, many at once. Its methods return at once."""

    def greeting(self) -> Mapping[str, Any]:
        """What the parent should know of this machine."""

    def take(self, number: int, content: Any) -> None:
        """A question; the answer goes to the replies, sooner or later."""

    def withdraw(self, number: int) -> None:
        """Nobody waits for this answer any more."""

    def close(self) -> None:
        """Stop."""


Open = Callable[[Settings, Replies], Answerer]


class Line:
    """The child's end."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._turn = threading.Lock()

    def answer(self, outcomes: list[Outcome], *, about: Any = None) -> None:
        frame = packed(("answers", [(number, _portable(outcome)) for number, outcome in outcomes]))
        self._send(frame if about is None else frame + packed(("batch", about)))

    def note(self, kind: str, content: Any) -> None:
        self._send(packed((kind, content)))

    def _send(self, frame: bytes) -> None:
        with self._turn:
            try:
                self._end.sendall(frame)
            except OSError:  # the parent is gone, and this process goes too
                logger.debug("nobody listens any more")


def answer_questions(open_answerer: Open, settings: Settings, end: socket.socket) -> None:
    """The process's main function: until its parent hangs up or is gone."""
    stay_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare_native_libraries()
    configure_logging(settings.log_level, log_format=settings.log_format)
    line = Line(end)
    answerer = open_answerer(settings, line)
    line.note("hello", dict(answerer.greeting()))
    for kind, number, content in messages(end):
        if kind == "withdraw":
            answerer.withdraw(number)
        else:
            answerer.take(number, content)
    answerer.close()


def _portable(outcome: Any) -> Any:
    """An exception of a library may not survive the way; what it says does."""
    if isinstance(outcome, BaseException) and not isinstance(outcome, SightglassError):
        return RuntimeError(f"{type(outcome).__name__}: {outcome}")
    return outcome
