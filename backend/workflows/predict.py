"""Prediction: a picture in, an answer out. The service's predicting process keeps models loaded and takes many."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.config import Settings
from backend.contracts import Prediction
from backend.contracts.serving import Ask, BatchNote, ServingState
from backend.data.images import open_image
from backend.workflows.explain import draw_explanation

if TYPE_CHECKING:
    from backend.execution.answer_child import Replies
    from backend.inference.model_cache import ModelCache
    from backend.inference.predictor import Predictor


def predict_image(
    settings: Settings, model_folder: Path, image: bytes, *, top_k: int = 3, explain: bool = False
) -> Prediction:
    """Answer for one picture; with `explain`, a Grad-CAM overlay of the best class comes along, with its test.

    Raises:
        ImageError: the picture cannot be opened.
        NotFoundError: the model's folder is gone.
    """
    started = time.perf_counter()
    picture = open_image(image, max_pixels=settings.max_image_pixels)
    predictor = loaded_predictor(settings, model_folder)
    prediction = predictor.predict([picture], top_k=top_k)[0]
    update: dict[str, Any] = {"latency_ms": round((time.perf_counter() - started) * 1000, 2)}
    if explain:
        drawn = draw_explanation(predictor.bundle, picture, class_name=prediction.predictions[0].label)
        update |= {"heatmap_png": drawn.heatmap_png, "heatmap": drawn.heatmap}
    return prediction.model_copy(update=update)


def loaded_predictor(settings: Settings, model_folder: Path) -> Predictor:
    """The predictor of a saved model, loaded once a process.

    Raises:
        NotFoundError: the model's folder is gone.
    """
    return _cache(settings).get(model_folder)


def open_answerer(settings: Settings, replies: Replies) -> Answerer:
    """What the predicting process runs: it answers `Ask`s, and gets ready the models whose folders it is sent."""
    return Answerer(settings, replies)


class Answerer:
    """Joins the batcher to the line: questions come from one thread, answers leave from several."""

    def __init__(self, settings: Settings, replies: Replies) -> None:
        from backend.engine.arithmetic import keep_products_on_one_thread, set_threads
        from backend.engine.environment import environment
        from backend.inference.batcher import Batcher

        set_threads(settings.torch_threads)
        keep_products_on_one_thread()
        self._environment = environment(settings)
        self._replies = replies
        self._models = _cache(settings)
        self._models.watch(self._tell)
        self._batcher = Batcher(
            self._models, self._reply, threads=settings.torch_threads, max_pixels=settings.max_image_pixels
        )

    def greeting(self) -> Mapping[str, Any]:
        return self._environment

    def take(self, number: int, content: Any) -> None:
        if isinstance(content, Ask):
            self._batcher.take(number, content)
        else:
            self._batcher.prepare(number, str(content))

    def withdraw(self, number: int) -> None:
        self._batcher.withdraw(number)

    def close(self) -> None:
        self._batcher.close()

    def _reply(self, outcomes: list[tuple[int, Any]], note: BatchNote | None) -> None:
        self._replies.answer(outcomes, about=note)

    def _tell(self) -> None:
        """A model was loaded, dropped, or has changed its backend."""
        models = self._models
        backends = {predictor.info.model_id: predictor.described() for predictor in models.loaded()}
        self._replies.note("state", ServingState(models.loads, models.evictions, backends))


@lru_cache(maxsize=1)
def _cache(settings: Settings) -> ModelCache:
    from backend.inference.model_cache import ModelCache

    return ModelCache(settings)
