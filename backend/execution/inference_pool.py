"""The processes that hold torch for the API: one that predicts, many pictures at once, and one beside it for the rest.

Two, so that a heat map, an export or whatever else takes seconds never stands in a prediction's way, and takes no
prediction along when it dies. The API's own process stays small and always answers. It does not know what is computed:
functions are handed in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ParamSpec, TypeVar

from backend.config import Settings
from backend.contracts.serving import NOTHING_LOADED, Answer, Ask, BatchNote, ServingState
from backend.errors import UnavailableError
from backend.execution.admission import Admission, Limits
from backend.execution.answer_child import Open, answer_questions
from backend.execution.answer_line import AnswerLine, Gone
from backend.execution.side_process import CALL_TIMEOUT_S, SideProcess

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

# Pictures in memory while they wait; a full queue of ordinary ones is a tenth of it.
WAITING_MB = 512


class InferencePool:
    """`ask` for predictions, in the event loop; `call` for everything else, from threads. Nothing starts before."""

    def __init__(
        self,
        settings: Settings,
        *,
        open_answerer: Open,
        warm_up: Callable[[], Any],
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        self._side = SideProcess(settings, warm_up=warm_up, timeout_s=timeout_s)
        limits = Limits(waiting=settings.serving_queue, seconds=settings.serving_max_wait_s, megabytes=WAITING_MB)
        self._line = AnswerLine(
            partial(answer_questions, open_answerer, settings),
            admission=Admission(limits),
            on_note=self._take_note,
            timeout_s=timeout_s,
        )
        self._hello: asyncio.Future[Mapping[str, Any]] | None = None
        self._on_batch: Callable[[BatchNote], None] | None = None
        self._on_state: Callable[[ServingState], None] | None = None
        self._state = NOTHING_LOADED

    async def ask(self, question: Ask, *, gone: Gone | None = None) -> Answer:
        """The answer to one picture; `gone` says whether the caller has hung up meanwhile.

        Raises:
            BusyError: too many wait already.
            UnavailableError: the process died twice on this question, gave no answer in time, or the service ends.
            CallerGone: the caller has hung up.
            SightglassError: what is wrong with the picture or the model.
        """
        answer: Answer = await self._line.ask(question, size=len(question.image), gone=gone)
        return answer

    async def prepare(self, model_folder: str) -> None:
        """Load a model and warm it up, so that the first picture for it need not wait.

        Raises:
            SightglassError: it cannot be loaded.
        """
        await self._line.ask(model_folder)

    def check_room(self) -> None:
        """Refuse before a body is read what would be refused after it.

        Raises:
            BusyError: too many wait already.
        """
        self._line.admission.check(time.monotonic())

    async def hello(self) -> Mapping[str, Any]:
        """Start the predicting process; returns once it is ready, with what it says of the machine."""
        if self._hello is None:
            self._hello = asyncio.get_running_loop().create_future()
            self._line.start()
        return await asyncio.shield(self._hello)

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the function returns, computed in the process beside; blocks.

        Raises:
            UnavailableError: the process died twice, or gave no answer in time.
            Exception: what the function raised, as it is.
        """
        return self._side.call(function, *args, **kwargs)

    def call_patiently(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """As `call`, for what may take minutes on a busy machine: an export."""
        return self._side.call_patiently(function, *args, **kwargs)

    def watch(self, *, batch: Callable[[BatchNote], None], state: Callable[[ServingState], None]) -> None:
        """Have somebody told of each forward pass, and of each model that is loaded or dropped."""
        self._on_batch, self._on_state = batch, state

    @property
    def state(self) -> ServingState:
        """What the predicting process said of its models last."""
        return self._state

    @property
    def waiting(self) -> int:
        """Pictures that wait for their answer."""
        return self._line.admission.waiting

    def process_ids(self) -> list[int]:
        """Of both processes, where they run; the one that predicts first."""
        predicting = self._line.process_id
        return [*([] if predicting is None else [predicting]), *self._side.process_ids()]

    def close(self) -> None:
        """End both processes; who waits, and all who come later, get an UnavailableError. Call it in the event loop."""
        self._line.close()
        if self._hello is not None and not self._hello.done():
            self._hello.set_exception(UnavailableError("The service is shutting down."))
            self._hello.exception()  # nobody need have waited for it
        self._side.close()

    def _take_note(self, message: Any) -> None:
        kind, content = message
        if kind == "batch":
            if self._on_batch is not None:
                self._on_batch(content)
        elif kind == "state":
            self._set_state(content)
        elif kind == "hello":
            self._set_state(NOTHING_LOADED)
            if self._hello is not None and not self._hello.done():
                self._hello.set_result(content)

    def _set_state(self, state: ServingState) -> None:
        self._state = state
        if self._on_state is not None:
            self._on_state(state)
