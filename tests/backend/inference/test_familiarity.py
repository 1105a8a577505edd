from __future__ import annotations

import numpy as np
import pytest

from backend.engine.reference import Reference
from backend.inference.familiarity import assess, similar_images


def reference(threshold: float = 0.2) -> Reference:
    """Four images on the axes of a plane and beside the first axis."""
    features = np.array([[1, 0], [0.96, 0.28], [0, 1], [-1, 0]], dtype=np.float16)
    return Reference(
        features=features,
        image_ids=("east", "north-east", "north", "west"),
        labels=("a", "a", "b", "c"),
        threshold=threshold,
        neighbours=1,
    )


def test_a_training_image_is_familiar_whatever_the_length_of_its_feature() -> None:
    score, unfamiliar = assess(reference(), np.array([250.0, 0.0]))
    assert score == pytest.approx(0.0, abs=1e-3)
    assert not unfamiliar


def test_the_score_is_one_half_at_the_threshold() -> None:
    angle = np.arccos(0.8)  # a cosine distance of 0.2 from "east", but farther from "north-east" on the other side
    score, _ = assess(reference(), np.array([np.cos(-angle), np.sin(-angle)]))
    assert score == pytest.approx(0.5, abs=1e-3)


def test_beyond_the_threshold_a_picture_is_unfamiliar() -> None:
    score, unfamiliar = assess(reference(), np.array([0.0, -1.0]))
    assert unfamiliar
    assert score == pytest.approx(1.0 / 1.2, abs=1e-2)  # 1 away from east and west


def test_a_threshold_of_zero_still_knows_its_own_images() -> None:
    score, unfamiliar = assess(reference(threshold=0.0), np.array([0.96, 0.28]))
    assert not unfamiliar
    assert 0.0 <= score < 0.5


def test_similar_images_come_nearest_first_with_their_cosine() -> None:
    first, second = similar_images(reference(), np.array([2.0, 0.0]), 2)
    assert (first.image_id, first.label) == ("east", "a")
    assert second.image_id == "north-east"
    assert second.similarity == pytest.approx(0.96, abs=1e-3)


def test_asking_for_more_similar_images_than_there_are_gives_all() -> None:
    assert len(similar_images(reference(), np.array([1.0, 1.0]), 10)) == 4
