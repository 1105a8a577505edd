"""Prediction: a picture in, an answer out. Runs in the inference process, which keeps models loaded."""

from __future__ import annotations

import importlib
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from backend.config import Settings
from backend.contracts import Prediction
from backend.data.images import open_image
from backend.workflows.explain import draw_explanation

if TYPE_CHECKING:
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
    latency_ms = (time.perf_counter() - started) * 1000
    update: dict[str, object] = {"latency_ms": round(latency_ms, 2)}
    if explain:
        drawn = draw_explanation(predictor.bundle, picture, class_name=prediction.predictions[0].label)
        update |= {"heatmap_png": drawn.heatmap_png, "heatmap": drawn.heatmap}
    return prediction.model_copy(update=update)


def predict_probabilities(settings: Settings, model_folder: Path, image: bytes) -> dict[str, float]:
    """The probability of every class for one picture.

    Raises:
        ImageError: the picture cannot be opened.
        NotFoundError: the model's folder is gone.
    """
    picture = open_image(image, max_pixels=settings.max_image_pixels)
    predictor = loaded_predictor(settings, model_folder)
    row = predictor.probabilities([picture])[0]
    return {name: float(value) for name, value in zip(predictor.info.class_names, row, strict=True)}


def loaded_predictor(settings: Settings, model_folder: Path) -> Predictor:
    """The predictor of a saved model, loaded once a process.

    Raises:
        NotFoundError: the model's folder is gone.
    """
    return _cache(settings).get(model_folder)


@lru_cache(maxsize=1)
def _cache(settings: Settings) -> ModelCache:
    from backend.inference.model_cache import ModelCache

    return ModelCache(settings)


def warm_up() -> dict[str, object]:
    """Load what predictions need, and say on which device they will run."""
    from backend.engine.arithmetic import set_threads
    from backend.engine.environment import environment

    for module in ("backend.inference.predictor", "backend.inference.explainers", "pytorch_grad_cam"):
        importlib.import_module(module)
    settings = Settings()
    set_threads(settings.torch_threads)
    return environment(settings)
