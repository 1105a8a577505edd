"""What the training images look like to the network: the yardstick for "have I seen anything like this?".

It holds features and a threshold, no pictures. `inference.familiarity` asks it.

Source of the rule: Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors". Of the threshold:
Lei et al. 2018, "Distribution-Free Predictive Inference for Regression" (split-conformal quantile).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from backend.engine.conformal import bound
from backend.errors import InputError

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

# At serving the question is compared with all of them: 4 million numbers are 8 MB in the bundle and under 0.5 ms.
MOST_NUMBERS = 4_000_000
MOST_IMAGES = 5000
NEIGHBOURS = 5
FALSE_ALARMS = 0.025  # the share of pictures like its own that a model calls unfamiliar
ROWS = 1024  # compared at a time: 1,024 x 5,000 distances are 20 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """L2-normalised float16 features [R, D] of known images, and how far from them is too far.

    `threshold` is a mean cosine distance (0..2) to the `neighbours` nearest of them: of pictures like these a share of
    `false_alarms` lies beyond it, judged by `measured_on` images. 0 of them: an older file, whose threshold 99% of
    its validation images were within. `matrix` are the features in the arithmetic that compares.
    """

    features: npt.NDArray[np.float16]
    image_ids: tuple[str, ...]
    labels: tuple[str, ...]
    threshold: float
    neighbours: int = NEIGHBOURS
    false_alarms: float = 0.01
    measured_on: int = 0
    matrix: npt.NDArray[np.float32] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Once: converting 2,000 x 1,280 half floats takes 8 ms, comparing with them 0.2.
        object.__setattr__(self, "matrix", np.ascontiguousarray(self.features, dtype=np.float32))

    def save(self, path: Path) -> None:
        np.savez(
            path,
            features=self.features,
            image_ids=np.array(self.image_ids, dtype=np.str_),
            labels=np.array(self.labels, dtype=np.str_),
            threshold=np.float64(self.threshold),
            neighbours=np.int64(self.neighbours),
            false_alarms=np.float64(self.false_alarms),
            measured_on=np.int64(self.measured_on),
        )

    @classmethod
    def load(cls, path: Path) -> Reference:
        """Read what `save` wrote, in this version or an older one; nothing is unpickled.

        Raises:
            InputError: the file is damaged or something else.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                newer: dict[str, Any] = {}
                if "measured_on" in arrays:
                    newer["measured_on"] = int(arrays["measured_on"])
                    newer["false_alarms"] = float(arrays["false_alarms"])
                return cls(
                    features=arrays["features"],
                    image_ids=tuple(arrays["image_ids"].tolist()),
                    labels=tuple(arrays["labels"].tolist()),
                    threshold=float(arrays["threshold"]),
                    neighbours=int(arrays["neighbours"]),
                    **newer,
                )
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise InputError(f"'{path.name}' is not a reference of training images: {error}. Train again.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Images that a network may call its own: features [N, D], and their ids and captions.

    `groups` [N]: copies of one picture have the same number. None: every picture is its own.
    """

    features: Floats
    image_ids: Sequence[str]
    labels: Sequence[str]
    groups: Ints | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.features), len(self.image_ids), len(self.labels), *self._grouped()}
        if sizes != {len(self.features)} or not len(self.features):
            raise ValueError(f"{len(self.features)} known, {len(self.image_ids)} ids, {len(self.labels)} labels")

    def _grouped(self) -> tuple[int, ...]:
        return () if self.groups is None else (len(self.groups),)


def build_reference(
    train: Floats, val: Floats, *, image_ids: Sequence[str], labels: Sequence[str], seed: int = 42
) -> Reference:
    """The yardstick of a network that has learned from `train` [N, D] and not from `val` [V, D].

    `image_ids` and `labels` are those of `train`, of which a part is kept. How far is too far the validation images
    say, which the network has not learned from, as it has not from what will be asked. They are not kept themselves:
    the distance at serving then means what the threshold measured.

    Raises:
        ValueError: a set is empty, or ids and labels do not go with `train`.
    """
    if not len(val):
        raise ValueError("no validation features")
    known = Known(features=train, image_ids=image_ids, labels=labels)
    kept = chosen(known, seed=seed)
    return measured(known, kept, distances_between(known.features[kept], val))


def build_reference_of_frozen(known: Known, *, seed: int = 42) -> Reference:
    """The yardstick of a network that has learned its features from none of these images, but from others before.

    Then every image says how far it is from the rest: with 480 images the threshold rests on 480 distances, where a
    fifth of them set aside would be 96, and all may be kept. Copies of a picture do not count as its neighbours.
    """
    kept = chosen(known, seed=seed)
    judges = np.random.default_rng(seed).permutation(len(known.features))[:MOST_IMAGES]
    return measured(known, kept, left_out(known, kept, judges))


def measured(known: Known, kept: Ints, distances: Floats) -> Reference:
    """The kept images of `known` with the threshold that `distances` [V] of fresh images to such images ask for."""
    return Reference(
        features=unit(known.features[kept]).astype(np.float16),
        image_ids=tuple(known.image_ids[place] for place in kept),
        labels=tuple(known.labels[place] for place in kept),
        threshold=bound(distances, FALSE_ALARMS),
        false_alarms=FALSE_ALARMS,
        measured_on=len(distances),
    )


def chosen(known: Known, *, seed: int) -> Ints:
    """Places of the images to keep, ascending: all where they are few, else as many of each label as there may be.

    A rare label keeps all its images: were they thinned out like the others, its pictures would soon be strangers.
    """
    most = max(1, min(MOST_IMAGES, MOST_NUMBERS // known.features.shape[1]))
    if len(known.features) <= most:
        return np.arange(len(known.features))
    random = np.random.default_rng(seed)
    order = random.permutation(len(known.features))
    _, codes = np.unique(np.asarray(known.labels, dtype=np.str_), return_inverse=True)
    turn = np.empty(len(order), dtype=np.int64)  # how many of its label come before it
    for label in range(int(codes.max()) + 1):
        of_label = order[codes[order] == label]
        turn[of_label] = np.arange(len(of_label))
    return np.sort(order[np.argsort(turn[order], kind="stable")][:most])


def left_out(known: Known, kept: Ints, judges: Ints) -> Floats:
    """How far each image at `judges` [J] lies from the kept ones, itself and its copies left out."""
    groups = np.arange(len(known.features)) if known.groups is None else np.asarray(known.groups)
    reference = unit(known.features[kept])
    rows = []
    for start in range(0, len(judges), ROWS):
        part = judges[start : start + ROWS]
        distances = 1.0 - unit(known.features[part]) @ reference.T
        distances[groups[part, None] == groups[kept][None, :]] = np.inf
        rows.append(nearest_mean(distances, NEIGHBOURS))
    found = np.concatenate(rows)
    # An image whose kept neighbours are all its copies has no distance; where that is so for all, nothing is too far.
    return found[np.isfinite(found)] if np.isfinite(found).any() else np.full(1, 2.0)


def distances_between(known: Floats, fresh: Floats, *, neighbours: int = NEIGHBOURS) -> Floats:
    """Mean cosine distance [V] of features [V, D] to the nearest among known [R, D]; of any length."""
    reference = unit(known)
    parts = [fresh[start : start + ROWS] for start in range(0, len(fresh), ROWS)]
    return np.concatenate([nearest_mean(1.0 - unit(part) @ reference.T, neighbours) for part in parts])


def nearest_mean(distances: Floats, neighbours: int) -> Floats:
    """The mean [N] of the few smallest of distances [N, R], never below 0; those without end are no neighbours."""
    count = min(neighbours, distances.shape[1])
    nearest = np.partition(distances, count - 1, axis=1)[:, :count]
    there = np.isfinite(nearest)
    with np.errstate(invalid="ignore"):
        means = np.where(there, nearest, 0.0).sum(axis=1) / there.sum(axis=1)
    return np.asarray(np.where(there.any(axis=1), np.maximum(means, 0.0), np.inf))


def unit(features: Floats) -> npt.NDArray[np.float32]:
    """Features [N, D] with a length of 1 each."""
    rows = np.asarray(features, dtype=np.float32)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
