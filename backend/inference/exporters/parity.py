"""Does a converted model answer as the served one does? Both see the same pictures; what comes out travels along.

It knows no ONNX nodes and writes nothing. The yardstick is torch in float32 on pictures that Pillow prepared: what
serving computes by, whatever faster way it takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from backend.contracts import ModelInfo, ParityReport
from backend.data.images import prepare_image
from backend.data.transforms import normalise
from backend.engine.activation import activate
from backend.engine.bundle import Bundle
from backend.errors import ConflictError
from backend.inference.access import exclusive
from backend.inference.exporters.onnx_graph import INPUT, OPSET, OUTPUT
from backend.inference.exporters.request import Surroundings

PICTURES = 64
# Where two of 64 differ nothing is said about 99.5%: then up to so many are asked, and all of them count.
MOST_PICTURES = 400
REQUIRED = 0.995
SEED = 20240521
# Of the pictures that are drawn by chance: side lengths as photographs and scans have them.
SHORTEST, LONGEST = 48, 480
AT_ONCE = 8  # pictures that torch answers together

Shares = npt.NDArray[np.float64]


def run_parity(model: bytes, bundle: Bundle, around: Surroundings) -> ParityReport:
    """Let both answer, on 64 pictures; on up to 400 where they do not all agree.

    Raises:
        ConflictError: they agree on fewer than 99.5%.
    """
    session = _session(model)
    run = _Run(bundle, session)
    real, drawn = around.pictures(), _drawn_by_chance()
    run.show(islice(real, PICTURES), from_dataset=True)
    run.show(islice(drawn, max(0, PICTURES - run.images)), from_dataset=False)
    if run.agreement < 1.0:
        run.show(islice(real, MOST_PICTURES - run.images), from_dataset=True)
        run.show(islice(drawn, max(0, MOST_PICTURES - run.images)), from_dataset=False)
    report = run.report()
    if report.agreement < REQUIRED:
        raise ConflictError(
            f"The ONNX file was not made: it must agree with the model on {REQUIRED:.1%}. {report.in_words()} "
            "Download the .pth or the bundle, which hold the model itself."
        )
    return report


class _Run:
    """Both models' answers so far."""

    def __init__(self, bundle: Bundle, session: Any) -> None:
        self._bundle, self._session = bundle, session
        self._ours: list[Shares] = []
        self._theirs: list[Shares] = []
        self._from_dataset = 0

    @property
    def images(self) -> int:
        return len(self._ours)

    def show(self, pictures: Iterator[Image.Image], *, from_dataset: bool) -> None:
        while batch := [picture.convert("RGB") for picture in islice(pictures, AT_ONCE)]:
            self._ours += list(_served(self._bundle, batch))
            for picture in batch:  # each has a size of its own
                answered = self._session.run([OUTPUT], {INPUT: np.asarray(picture)[None]})[0][0]
                self._theirs.append(answered.astype(np.float64))
            self._from_dataset += from_dataset * len(batch)

    @property
    def agreement(self) -> float:
        return _agreement(np.stack(self._ours), np.stack(self._theirs), self._bundle.info)

    def report(self) -> ParityReport:
        apart = np.abs(np.stack(self._ours) - np.stack(self._theirs))
        return ParityReport(
            images=self.images,
            from_dataset=self._from_dataset,
            generated=self.images - self._from_dataset,
            task=self._bundle.info.task,
            agreement=self.agreement,
            required=REQUIRED,
            max_difference=float(apart.max()),
            mean_difference=float(apart.mean()),
            opset=OPSET,
            onnxruntime=version("onnxruntime"),
            torch=str(torch.__version__),
        )


def _agreement(ours: Shares, theirs: Shares, info: ModelInfo) -> float:
    if not np.isfinite(theirs).all():
        return 0.0
    if info.task == "multilabel":
        limits = np.array(info.thresholds or [0.5] * len(info.class_names))
        return float(((ours >= limits) == (theirs >= limits)).mean())
    return float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())


def _served(bundle: Bundle, pictures: Sequence[Image.Image]) -> Shares:
    """The model's own probabilities [N, C]."""
    together = np.zeros((len(pictures), len(bundle.info.class_names)))
    for member in bundle.voices:
        pixels = torch.from_numpy(np.stack([prepare_image(one, member.preprocessing) for one in pictures]))
        module = member.network.module
        batch = normalise(pixels.to(member.network.device), member.preprocessing)
        with exclusive(module), torch.inference_mode():
            together += member.weight * activate(module(batch), bundle.info.task).cpu().numpy()
    return together


def _session(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _drawn_by_chance() -> Iterator[Image.Image]:
    """Clouds of colour in many sizes: they have large shapes and fine grain, as pictures have, and no subject."""
    random = np.random.default_rng(SEED)
    while True:
        width, height = (int(side) for side in random.integers(SHORTEST, LONGEST, 2))
        coarse = random.integers(0, 256, (int(random.integers(2, 9)), int(random.integers(2, 9)), 3), dtype=np.uint8)
        cloud = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
        grain = random.integers(-20, 21, cloud.shape, dtype=np.int8)
        yield Image.fromarray((cloud + grain).clip(0, 255).astype(np.uint8))
