"""A heat map drawn over its picture, as a PNG. It does not know where heat comes from."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.data.images import to_rgb

# Longer pictures are shown scaled down: the PNG travels in JSON, and 1,024 pixels fill a screen's half.
LONGEST_SIDE = 1024
# Cold places show the picture itself, hot ones still a third of it.
HOTTEST_OPACITY = 0.65


def shown_size(size: tuple[int, int]) -> tuple[int, int]:
    """The (width, height) in which a picture of this size is shown."""
    shrink = min(1.0, LONGEST_SIDE / max(size))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


def overlay_png(image: Image.Image, heatmap: npt.NDArray[np.floating]) -> bytes:
    """Draw a heat map [h, w], 0..1, over its picture: the hotter, the redder and the less of the picture shows."""
    from matplotlib import colormaps

    picture = to_rgb(image).resize(shown_size(image.size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    heat = Image.fromarray(np.clip(heatmap, 0.0, 1.0).astype(np.float32))
    if heat.size != picture.size:
        heat = heat.resize(picture.size, Image.Resampling.BILINEAR)
    values = np.asarray(heat)
    opacity = HOTTEST_OPACITY * values[:, :, None]
    blended = (1 - opacity) * np.asarray(picture, dtype=np.float32) + opacity * 255 * colormaps["turbo"](values)[
        :, :, :3
    ]
    buffer = io.BytesIO()
    Image.fromarray(np.round(blended).astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()
