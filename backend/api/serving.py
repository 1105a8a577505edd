"""Predictions from the API's side: which model a name stands for, the question to the predicting process, the counts.

What a name stands for is kept until somebody writes to the database. Everything here runs in the event loop; only what
the database or the object storage must be asked for goes to a thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anyio import from_thread, to_thread

from backend.api import metrics
from backend.api.tally import PredictionTally
from backend.contracts import ModelInfo
from backend.contracts.serving import NOTHING_LOADED, Answer, Ask, BatchNote, ServingState
from backend.errors import NotFoundError, UnavailableError
from backend.execution.trace import request_id
from backend.storage.catalog import Catalog
from backend.storage.change_mark import ChangeMark
from backend.storage.folders import Folders

Gone = Callable[[], Awaitable[bool]]

# Names are few; a caller that makes some up gets an error, which is not kept.
MOST_NAMES = 1000


@dataclass(frozen=True, slots=True)
class Standing:
    """The model that a name stands for, and where it lies on this machine."""

    model: ModelInfo
    folder: Path


class ModelNames:
    """What names stand for: a model's id, a dataset's, or '' for the default of `POST /predict`."""

    def __init__(self, catalog: Catalog, mark: ChangeMark, *, models_dir: Path, folders: Folders) -> None:
        self._catalog = catalog
        self._mark = mark
        self._models_dir = models_dir
        self._folders = folders
        self._kept: dict[str, Standing] = {}
        self._kept_at: int | None = None

    async def find(self, name: str) -> Standing:
        """The model that a name stands for at this moment.

        Raises:
            NotFoundError: neither a model nor a dataset with a model.
            UnavailableError: the database or the object storage does not answer.
        """
        mark = self._mark.read()
        if mark is None or mark != self._kept_at or len(self._kept) > MOST_NAMES:
            self._kept, self._kept_at = {}, mark
        found = self._kept.get(name)
        if found is None:
            kept = self._kept
            found = await to_thread.run_sync(self._look_up, name)
            if mark is not None:
                kept[name] = found  # into the one of that mark: it may have been replaced meanwhile
        return found

    def close(self) -> None:
        self._mark.close()

    def folder_of(self, model_id: str) -> Path:
        """Where a model lies on this machine; one that another machine trained is fetched first.

        Raises:
            UnavailableError: the object storage, which has it, does not answer.
        """
        return self._folders.fetch(self._models_dir / model_id).resolve()

    def _look_up(self, name: str) -> Standing:
        model = self._catalog.resolve_model(name) if name else self._catalog.default_model()
        if model is None:
            raise NotFoundError(
                "There is no model yet. Upload a ZIP (POST /api/cv/upload) and train on it (POST /api/cv/train/start)."
            )
        return Standing(model, self.folder_of(model.model_id))


class PredictionPool(Protocol):
    """What answers; `execution.inference_pool` has it."""

    @property
    def waiting(self) -> int: ...

    @property
    def state(self) -> ServingState: ...

    async def ask(self, question: Ask, *, gone: Gone | None = None) -> Answer: ...

    async def prepare(self, model_folder: str) -> None: ...

    def check_room(self) -> None: ...


class Serving:
    """Answers for one picture, counted."""

    def __init__(self, pool: PredictionPool, names: ModelNames, tally: PredictionTally) -> None:
        self._pool = pool
        self.names = names
        self._tally = tally
        self._seen = NOTHING_LOADED

    def check_room(self) -> None:
        """Refuse a picture before it is read where it would be refused afterwards.

        Raises:
            BusyError: too many wait already.
        """
        self._pool.check_room()

    async def answer(self, name: str, image: bytes, *, top_k: int | None, gone: Gone | None = None) -> Answer:
        """The answer of the model that a name stands for; '' is the default one. Without `top_k`, all probabilities.

        Raises:
            NotFoundError: the name stands for no model.
            ImageError: the picture cannot be opened.
            BusyError, UnavailableError: not now.
            CallerGone: nobody waits any more.
        """
        found = await self.names.find(name)
        answer = await self._pool.ask(Ask(str(found.folder), image, top_k, request_id()), gone=gone)
        self._tally.add(
            found.model.model_id, labels=answer.labels, confidence=answer.confidence, unfamiliar=answer.unfamiliar
        )
        return answer

    def prepare(self, model_id: str) -> None:
        """Load a model before it takes another's place, so that nobody waits for that; called from a thread.

        Raises:
            NotFoundError, InputError: it cannot be loaded, so it must not take a place.
        """
        folder = str(self.names.folder_of(model_id))
        try:
            from_thread.run(self._pool.prepare, folder)
        except UnavailableError:
            return  # it will be loaded when the predicting process is there again

    def backend_of(self, model_id: str) -> dict[str, object] | None:
        """What a loaded model runs on here, and how that was chosen; None where it is not loaded."""
        return self._pool.state.backends.get(model_id)

    def note_batch(self, note: BatchNote) -> None:
        """Count a forward pass."""
        metrics.observe_batch(note.size, note.seconds)
        for waited in note.waited:
            metrics.observe_prediction(waited + note.seconds)
        metrics.set_queue_length(self._pool.waiting)

    def note_state(self, state: ServingState) -> None:
        """Count what was loaded and dropped since the last time; a fresh process begins at nothing."""
        before = self._seen if state.loads >= self._seen.loads else NOTHING_LOADED
        metrics.count_model_load(state.loads - before.loads)
        metrics.count_model_eviction(state.evictions - before.evictions)
        metrics.set_loaded_models(len(state.backends))
        self._seen = state
