"""Explanation: where in a picture the network found its answer (Grad-CAM, Selvaraju et al. 2017), and its test.

For the service this runs in the process beside the one that predicts, with models of its own in memory.
"""

from __future__ import annotations

import base64
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from backend.config import Settings
from backend.contracts import Explanation
from backend.data.images import open_image

if TYPE_CHECKING:
    from PIL.Image import Image

    from backend.engine.bundle import Bundle


def explain_image(
    settings: Settings, model_folder: Path, image: bytes, *, class_name: str | None = None
) -> Explanation:
    """Return a PNG in the proportions of the picture: its Grad-CAM heat map for one class over it. None: the likeliest.

    It comes with its deletion test: what is lost of the class's probability without what the map marks.

    Raises:
        ImageError: the picture cannot be opened.
        InputError: the model has no class of that name.
        NotFoundError: the model's folder is gone.
    """
    from backend.workflows.predict import loaded_predictor

    picture = open_image(image, max_pixels=settings.max_image_pixels)
    return draw_explanation(loaded_predictor(settings, model_folder).bundle, picture, class_name=class_name)


def draw_explanation(bundle: Bundle, picture: Image, *, class_name: str | None) -> Explanation:
    """The same for a model and a picture that are open already."""
    from backend.inference.explainers import explained, overlay_png

    found = explained(bundle, picture, class_name)
    png = base64.b64encode(overlay_png(picture, found.heat)).decode("ascii")
    return Explanation(label=found.label, heatmap_png=png, heatmap=found.evidence)


def warm_up() -> None:
    """Load what heat maps need, so that the first one need not wait for it."""
    from backend.engine.arithmetic import set_threads

    for module in ("backend.inference.predictor", "backend.inference.explainers", "pytorch_grad_cam"):
        importlib.import_module(module)
    set_threads(Settings().torch_threads)
