"""What the training images look like to the network: the yardstick for "have I seen anything like this?".

It holds features and a threshold, no pictures. `inference.familiarity` asks it.

Source of the rule: Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from backend.errors import InputError

Floats = npt.NDArray[np.floating]

MOST_IMAGES = 2000  # 2000 x 1280 half floats are 5 MB in the bundle
NEIGHBOURS = 5
QUANTILE = 0.99  # one familiar image in a hundred is called unfamiliar


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """L2-normalised float16 features [R, D] of known images, and how far from them is too far.

    `threshold` is a mean cosine distance (0..2) to the `neighbours` nearest of them.
    """

    features: npt.NDArray[np.float16]
    image_ids: tuple[str, ...]
    labels: tuple[str, ...]
    threshold: float
    neighbours: int = NEIGHBOURS

    def save(self, path: Path) -> None:
        np.savez(
            path,
            features=self.features,
            image_ids=np.array(self.image_ids, dtype=np.str_),
            labels=np.array(self.labels, dtype=np.str_),
            threshold=np.float64(self.threshold),
            neighbours=np.int64(self.neighbours),
        )

    @classmethod
    def load(cls, path: Path) -> Reference:
        """Read what `save` wrote; nothing is unpickled.

        Raises:
            InputError: the file is damaged or something else.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return cls(
                    features=arrays["features"],
                    image_ids=tuple(arrays["image_ids"].tolist()),
                    labels=tuple(arrays["labels"].tolist()),
                    threshold=float(arrays["threshold"]),
                    neighbours=int(arrays["neighbours"]),
                )
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise InputError(f"'{path.name}' is not a reference of training images: {error}. Train again.") from error


def build_reference(
    train: Floats, val: Floats, *, image_ids: Sequence[str], labels: Sequence[str], seed: int = 42
) -> Reference:
    """Keep at most 2,000 training images, and measure by validation images how far is too far.

    `train` [N, D] and `val` [V, D] are features; `image_ids` and `labels` are those of `train`. The threshold is how
    far 99% of the validation images, new to the network, lie from the kept training images. Validation images are not
    kept themselves: the distance at serving then means what the threshold measured.

    Raises:
        ValueError: a set is empty, or ids and labels do not go with `train`.
    """
    if not len(train) or not len(val) or len(image_ids) != len(train) or len(labels) != len(train):
        raise ValueError(
            f"{len(train)} training, {len(val)} validation features, {len(image_ids)} ids, {len(labels)} labels"
        )
    random = np.random.default_rng(seed)
    kept = _sample(len(train), random)
    known = _normalised(train[kept]).astype(np.float16)
    fresh = _normalised(val[_sample(len(val), random)])
    distances = nearest_distance(known, fresh, neighbours=NEIGHBOURS)
    return Reference(
        features=known,
        image_ids=tuple(image_ids[place] for place in kept),
        labels=tuple(labels[place] for place in kept),
        threshold=float(np.quantile(distances, QUANTILE)),
    )


def nearest_distance(known: Floats, features: Floats, *, neighbours: int) -> Floats:
    """Mean cosine distance [N] of features [N, D] to the nearest among known [R, D]; all are of unit length."""
    distances = 1.0 - features.astype(np.float32) @ known.astype(np.float32).T
    count = min(neighbours, distances.shape[1])
    nearest: Floats = np.partition(distances, count - 1, axis=1)[:, :count]
    return np.asarray(nearest.mean(axis=1))


def _sample(total: int, random: np.random.Generator) -> list[int]:
    """Places of at most `MOST_IMAGES`, ascending."""
    return sorted(random.choice(total, size=min(total, MOST_IMAGES), replace=False).tolist())


def _normalised(features: Floats) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12), dtype=np.float32)
