"""Pictures in, labels with confidence out. It reads no files but the bundle, and draws no heat maps.

Serving computes in float32 and prepares pictures exactly as training did, so that it answers what the `.pth` answers.
Where several networks answer together, each sees pictures in its own way and their probabilities are averaged by
weight; what is familiar and what is similar the leading network says, for the reference is of its features.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from backend.config import Settings
from backend.contracts import LabelConfidence, ModelInfo, ModelRef, Prediction
from backend.data.images import prepare_image
from backend.data.transforms import normalise
from backend.engine.bundle import Bundle, load_bundle
from backend.engine.members import Member
from backend.errors import ImageError, InputError
from backend.inference.familiarity import compare_many
from backend.inference.serving import Answer, ServedNetwork

BATCH_SIZE = 32
SIMILAR_SHOWN = 3

Picture = Image.Image | npt.NDArray[np.uint8]


class Predictor:
    """A loaded bundle that answers. Safe to share between threads; they take turns."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._served = tuple(ServedNetwork(member) for member in bundle.voices)

    @classmethod
    def open(cls, folder: Path, *, settings: Settings | None = None) -> Predictor:
        """Load a saved model.

        Raises:
            NotFoundError: there is no model in this folder.
            InputError: the files are damaged.
        """
        return cls(load_bundle(folder, settings=settings or Settings()))

    @property
    def info(self) -> ModelInfo:
        return self.bundle.info

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the columns of `probabilities`."""
        return self.bundle.info.class_names

    def predict(self, images: Sequence[Picture], *, top_k: int = 3) -> list[Prediction]:
        """Answer for each picture, best label first; `top_k` above the number of classes gives them all.

        `latency_ms` is the time for the whole call divided by the number of pictures.

        Raises:
            InputError: `top_k` is below 1.
            ImageError: an array has another shape or type than a picture.
        """
        if top_k < 1:
            raise InputError(f"top_k is {top_k}; it must be at least 1. Ask for 3 to see the three likeliest labels.")
        begun = time.perf_counter()
        answers = list(self._answers(images))
        latency = 1000 * (time.perf_counter() - begun) / max(1, sum(len(answer.features) for answer in answers))
        return [one for answer in answers for one in self._predictions(answer, top_k=top_k, latency_ms=latency)]

    def probabilities(self, images: Sequence[Picture]) -> npt.NDArray[np.float64]:
        """Class probabilities [N, C] in the order of `class_names`; each row sums to 1."""
        rows = [answer.probabilities for answer in self._answers(images)]
        return np.concatenate(rows) if rows else np.zeros((0, len(self.class_names)))

    def _answers(self, images: Sequence[Picture]) -> Iterator[Answer]:
        for start in range(0, len(images), BATCH_SIZE):
            yield self._together([as_picture(image) for image in images[start : start + BATCH_SIZE]])

    def _together(self, pictures: Sequence[Image.Image]) -> Answer:
        leader, *others = self._served
        answer = leader.answer(_prepared(pictures, leader.member))
        if not others:
            return answer
        probabilities = leader.member.weight * answer.probabilities
        for served in others:
            member = served.member
            probabilities = probabilities + member.weight * served.answer(_prepared(pictures, member)).probabilities
        return Answer(probabilities, answer.features)

    def prepare(self, images: Sequence[Picture], *, member: Member | None = None) -> torch.Tensor:
        """A network's input for some pictures: float [N, 3, H, W] on its device. By default the leading network's."""
        member = member or self.bundle.voices[0]
        prepared = _prepared([as_picture(image) for image in images], member)
        return normalise(torch.from_numpy(prepared).to(member.network.device), member.preprocessing)

    def _predictions(self, answer: Answer, *, top_k: int, latency_ms: float) -> list[Prediction]:
        reference = self.bundle.reference
        known = None if reference is None else compare_many(reference, answer.features, SIMILAR_SHOWN)
        found = []
        for place, row in enumerate(answer.probabilities):
            prediction = self._prediction(row, top_k=top_k, latency_ms=latency_ms)
            if known is not None:
                update = {
                    "unfamiliar": bool(known.familiarity.unfamiliar[place]),
                    "unfamiliarity": float(known.familiarity.scores[place]),
                    "similar": tuple(known.similar[place]),
                }
                prediction = prediction.model_copy(update=update)
            found.append(prediction)
        return found

    def _prediction(self, row: npt.NDArray[np.float64], *, top_k: int, latency_ms: float) -> Prediction:
        info = self.bundle.info
        best = np.argsort(-row, kind="stable")[:top_k]
        return Prediction(
            predictions=tuple(LabelConfidence(label=info.class_names[i], confidence=float(row[i])) for i in best),
            model=ModelRef(model_id=info.model_id, name=info.name, accuracy=info.accuracy),
            # Without a reference there is no yardstick; then nothing is called unfamiliar.
            unfamiliar=False,
            unfamiliarity=0.0,
            latency_ms=latency_ms,
        )


def _prepared(pictures: Sequence[Image.Image], member: Member) -> npt.NDArray[np.uint8]:
    """Pictures as a network is fed them, before normalisation: uint8 [N, H, W, 3]."""
    return np.stack([prepare_image(picture, member.preprocessing) for picture in pictures])


def as_picture(image: Picture) -> Image.Image:
    """Take a Pillow image as it is, and an array uint8 [H, W], [H, W, 3] (RGB) or [H, W, 4] (RGBA) as a picture.

    Raises:
        ImageError: the array has another shape or type.
    """
    if isinstance(image, Image.Image):
        return image
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or image.ndim not in {2, 3} or channels not in {1, 3, 4} or 0 in image.shape:
        raise ImageError(
            f"An array {image.dtype} {list(image.shape)} is no picture; send uint8 [height, width, 3] with RGB, 0..255."
        )
    return Image.fromarray(image[:, :, 0] if image.ndim == 3 and channels == 1 else image)
