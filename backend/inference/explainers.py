"""Which part of a picture spoke for a label: Grad-CAM (Selvaraju et al. 2017) by the `grad-cam` library.

It answers in the geometry of the picture that was sent, not of the square that the network saw. A heat map shows where
a network looked, not why, and not whether it is right. Where several networks answer together it is that of the leading
one alone: the others may have looked elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from backend.contracts import HeatmapEvidence, Preprocessing
from backend.data.images import placement, prepare_image
from backend.data.transforms import normalise
from backend.engine.bundle import Bundle
from backend.errors import InputError
from backend.inference.access import exclusive
from backend.inference.cam_layers import reads_attention, reshape_for, target_layer
from backend.inference.deletion import Marked, deletion_test
from backend.inference.overlay import overlay_png, shown_size
from backend.inference.predictor import Picture, Predictor, as_picture
from backend.registry import nearest

__all__ = ["Explained", "explained", "heatmap", "in_picture", "overlay_png"]

# A map that nowhere gets warmer than this shows nothing to the eye.
BLANK = 0.02

Heat = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A heat map of the picture [height, width], 0..1, and whether it marks what the answer rests on."""

    label: str
    heat: Heat
    evidence: HeatmapEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """A heat map in the picture's geometry and in the network's, `seen`; `pixels` [1, 3, h, w] are what it saw."""

    label: str
    target: int
    heat: Heat
    seen: Heat
    pixels: torch.Tensor
    size: tuple[int, int]


def heatmap(bundle: Bundle, image: Picture, class_name: str | None = None) -> Heat:
    """Return how much each place of the picture spoke for a class, 0..1, [height, width].

    The map has the picture's own size, or for very large pictures the size in which it is shown
    (`overlay.LONGEST_SIDE`). What a crop left out is 0: the network never saw it. Without a `class_name` the map is
    for the likeliest class; that is what all networks of an ensemble say together, the map is the leading one's.

    Raises:
        InputError: the model does not know this class, or the network has no map of features.
    """
    return _drawn(bundle, image, class_name).heat


def explained(bundle: Bundle, image: Picture, class_name: str | None = None) -> Explained:
    """The same, and what the deletion test says of it: whether the leading network's answer falls without it.

    Raises:
        InputError: as `heatmap`.
    """
    drawn = _drawn(bundle, image, class_name)
    frame = placement(drawn.size, bundle.info.preprocessing)
    marked = Marked(heat=drawn.seen, target=drawn.target, label=drawn.label, frame=frame)
    evidence = deletion_test(bundle.network, drawn.pixels, marked, task=bundle.info.task)
    return Explained(label=drawn.label, heat=drawn.heat, evidence=evidence)


def _drawn(bundle: Bundle, image: Picture, class_name: str | None) -> _Drawn:
    picture = as_picture(image)
    label = class_name or Predictor(bundle).predict([picture], top_k=1)[0].predictions[0].label
    target = _class_index(bundle, label)
    preprocessing = bundle.info.preprocessing
    prepared = torch.from_numpy(prepare_image(picture, preprocessing)[None])
    pixels = normalise(prepared.to(bundle.network.device), preprocessing)
    elementwise = reads_attention(bundle.network.module, bundle.network.spec)
    seen = _grad_cam(bundle, pixels, target, elementwise=elementwise)
    heat = in_picture(seen, picture.size, preprocessing)
    if heat.max() < BLANK and not elementwise:
        # All averaged evidence spoke against the class, or lay in the border: show what spoke for it, however little.
        seen = _grad_cam(bundle, pixels, target, elementwise=True)
        heat = in_picture(seen, picture.size, preprocessing)
    return _Drawn(label=label, target=target, heat=heat, seen=seen, pixels=pixels.detach(), size=picture.size)


def in_picture(seen: Heat, size: tuple[int, int], preprocessing: Preprocessing) -> Heat:
    """Undo squash, letterbox or crop: a map [h, w] of the network's input becomes one of the picture.

    `size` is the picture's (width, height); the map has the size in which such a picture is shown.
    """
    place = placement(size, preprocessing)
    width, height = shown_size(size)
    across, down = place.width / width, place.height / height
    # The picture's frame in the input's pixels; outside of a crop's input there is nothing, which is 0.
    scaled = Image.fromarray(np.asarray(seen, dtype=np.float32)).transform(
        (width, height),
        Image.Transform.AFFINE,
        (across, 0.0, place.left, 0.0, down, place.top),
        resample=Image.Resampling.BILINEAR,
    )
    return np.clip(np.asarray(scaled, dtype=np.float32), 0.0, 1.0)


def _grad_cam(bundle: Bundle, batch: torch.Tensor, target: int, *, elementwise: bool) -> Heat:
    """A map [h, w] of the network's input, 0..1; `elementwise` weighs each place by its own gradient.

    Grad-CAM averages a channel's gradient over all places. After attention the places differ, and their average says
    little: on a ViT that tells three drawn shapes apart, the heat on the shape was 3.8, 0.0 and 1.1 times the mean with
    averaged gradients, 4.4, 6.2 and 2.9 times element-wise.
    """
    # Late: the library brings OpenCV, SciPy and matplotlib, which a prediction without a heat map does not need.
    from pytorch_grad_cam import GradCAM, GradCAMElementWise
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    network = bundle.network
    layer, reshape = target_layer(network.module, network.spec), reshape_for(network.module, network.spec)
    targets = [ClassifierOutputTarget(target)]
    with exclusive(network.module), _frozen(network.module), torch.enable_grad():
        method = GradCAMElementWise if elementwise else GradCAM
        cam = method(model=network.module, target_layers=[layer], reshape_transform=reshape)
        try:
            # Not `with cam`: the library's own exit prints and swallows an IndexError.
            heat: Heat = cam(input_tensor=batch.clone().requires_grad_(), targets=targets)[0]
        finally:
            cam.activations_and_grads.release()
    return np.nan_to_num(heat)


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Gradients for the activations only: none are computed, kept or left behind for the weights."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def _class_index(bundle: Bundle, class_name: str) -> int:
    names = bundle.info.class_names
    if class_name in names:
        return names.index(class_name)
    raise InputError(
        f"The model knows no class '{class_name}'.{nearest(class_name, names)} Allowed: {', '.join(names)}."
    )
