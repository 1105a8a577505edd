"""Pictures in, labels with confidence out. It reads no files but the bundle, and draws no heat maps.

Serving computes in float32 and prepares pictures exactly as training did, so that it answers what the `.pth` answers.
Where several networks answer together, each sees pictures in its own way and their probabilities are averaged by
weight; what is familiar and what is similar the leading network says, for the reference is of its features.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

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
from backend.inference.serving import Answer, ServedNetwork, plan_for

BATCH_SIZE = 32
SIMILAR_SHOWN = 3

Picture = Image.Image | npt.NDArray[np.uint8]
Prepared = tuple[npt.NDArray[np.uint8], ...]


class Predictor:
    """A loaded bundle that answers. Safe to share between threads; they take turns."""

    def __init__(self, bundle: Bundle, *, settings: Settings | None = None) -> None:
        self.bundle = bundle
        plans = [
            None if settings is None else plan_for(settings, bundle.info, place) for place in range(len(bundle.voices))
        ]
        self._served = tuple(
            ServedNetwork(member, plan=plan) for member, plan in zip(bundle.voices, plans, strict=True)
        )

    @classmethod
    def open(cls, folder: Path, *, settings: Settings | None = None) -> Predictor:
        """Load a saved model.

        Raises:
            NotFoundError: there is no model in this folder.
            InputError: the files are damaged.
        """
        settings = settings or Settings()
        return cls(load_bundle(folder, settings=settings), settings=settings)

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
        found: list[Prediction] = []
        for answer in answers:
            count = len(answer.features)
            found += self.predictions(answer, top_k=[top_k] * count, latency_ms=[latency] * count)
        return found

    def probabilities(self, images: Sequence[Picture]) -> npt.NDArray[np.float64]:
        """Probabilities [N, C] in the order of `class_names`; a row sums to 1 where an image has one class."""
        rows = [answer.probabilities for answer in self._answers(images)]
        return np.concatenate(rows) if rows else np.zeros((0, len(self.class_names)))

    def _answers(self, images: Sequence[Picture]) -> Iterator[Answer]:
        for start in range(0, len(images), BATCH_SIZE):
            yield self.answer([self.prepared(image) for image in images[start : start + BATCH_SIZE]])

    # -- for whoever decodes pictures apart from the forward pass

    def prepared(self, image: Picture) -> Prepared:
        """One picture as each network is fed it, before normalisation: uint8 [H, W, 3] for each voice.

        Raises:
            ImageError: an array has another shape or type than a picture.
        """
        picture = as_picture(image)
        return tuple(prepare_image(picture, served.member.preprocessing) for served in self._served)

    def answer(self, pictures: Sequence[Prepared]) -> Answer:
        """What all networks together say of some prepared pictures of one shape; as many threads at once as `lanes`."""
        leader, *others = self._served
        answer = leader.answer(np.stack([picture[0] for picture in pictures]))
        if not others:
            return answer
        probabilities = leader.member.weight * answer.probabilities
        for place, served in enumerate(others, start=1):
            theirs = served.answer(np.stack([picture[place] for picture in pictures]))
            probabilities = probabilities + served.member.weight * theirs.probabilities
        return Answer(probabilities, answer.features)

    @property
    def lanes(self) -> int:
        """How many forward passes may run side by side."""
        return min(served.lanes for served in self._served)

    @property
    def batch_size(self) -> int:
        """How many pictures a forward pass computes fastest."""
        return min(served.batch_size for served in self._served)

    @property
    def size(self) -> int:
        """Bytes in memory: the networks' tensors, twice where a backend has its own copy, and the reference."""
        tensors: int = sum(
            served.copies * tensor.numel() * tensor.element_size()
            for served in self._served
            for tensor in served.member.network.module.state_dict().values()
        )
        return tensors + (0 if self.bundle.reference is None else self.bundle.reference.features.nbytes)

    def described(self) -> dict[str, Any]:
        """What the leading network runs on, and each of them with how that was chosen, for people who ask."""
        networks = [served.described() for served in self._served]
        return {"backend": networks[0]["backend"], "networks": networks}

    def watch(self, changed: Callable[[], None]) -> None:
        """Have somebody told whenever another backend has taken over."""
        for served in self._served:
            served.changed = changed

    def warm_up(self) -> None:
        """Compute a picture, and take the faster library of the same arithmetic, as a flood of pictures would."""
        for served in self._served:
            served.warm_up()

    def prepare(self, images: Sequence[Picture], *, member: Member | None = None) -> torch.Tensor:
        """A network's input for some pictures: float [N, 3, H, W] on its device. By default the leading network's."""
        member = member or self.bundle.voices[0]
        prepared = _prepared([as_picture(image) for image in images], member)
        return normalise(torch.from_numpy(prepared).to(member.network.device), member.preprocessing)

    def predictions(self, answer: Answer, *, top_k: Sequence[int], latency_ms: Sequence[float]) -> list[Prediction]:
        """An answer in words, picture by picture: for each its `top_k` likeliest labels."""
        info, reference = self.bundle.info, self.bundle.reference
        known = None if reference is None else compare_many(reference, answer.features, SIMILAR_SHOWN)
        model = ModelRef(model_id=info.model_id, name=info.name, accuracy=info.accuracy)
        return [
            Prediction(
                predictions=self._labels(row, count),
                model=model,
                # Without a reference there is no yardstick; then nothing is called unfamiliar.
                unfamiliar=False if known is None else bool(known.familiarity.unfamiliar[place]),
                unfamiliarity=0.0 if known is None else float(known.familiarity.scores[place]),
                latency_ms=latency_ms[place],
                similar=() if known is None else tuple(known.similar[place]),
            )
            for place, (row, count) in enumerate(zip(answer.probabilities, top_k, strict=True))
        ]

    def _labels(self, row: npt.NDArray[np.float64], count: int) -> tuple[LabelConfidence, ...]:
        """The likeliest; where a picture may carry several labels all of them, each with whether it is present."""
        names, thresholds = self.bundle.info.class_names, self.bundle.info.thresholds
        best = np.argsort(-row, kind="stable")
        if thresholds is None:
            return tuple(LabelConfidence(label=names[i], confidence=float(row[i])) for i in best[:count])
        return tuple(
            LabelConfidence(label=names[i], confidence=float(row[i]), present=bool(row[i] >= thresholds[i]))
            for i in best
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
