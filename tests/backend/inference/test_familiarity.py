from __future__ import annotations

import numpy as np
import pytest

from backend.engine.reference import Reference, unit
from backend.inference.familiarity import assess, assess_many, compare_many, similar_images, similar_many


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


def test_many_are_answered_as_each_alone() -> None:
    random = np.random.default_rng(3)
    features = random.normal(size=(40, 16)).astype(np.float32)
    known = Reference(
        features=unit(random.normal(size=(30, 16))).astype(np.float16),
        image_ids=tuple(f"img-{n:03}" for n in range(30)),
        labels=("a",) * 30,
        threshold=0.6,
    )
    together = compare_many(known, features, 4)
    alone = [assess(known, feature) for feature in features]
    np.testing.assert_allclose(together.familiarity.scores, [score for score, _ in alone], rtol=1e-5)
    assert together.familiarity.unfamiliar.tolist() == [flag for _, flag in alone]
    assert 0 < sum(together.familiarity.unfamiliar) < 40
    np.testing.assert_array_equal(assess_many(known, features).scores, together.familiarity.scores)
    for several, feature in zip(similar_many(known, features, 4), features, strict=True):
        assert [one.image_id for one in several] == [one.image_id for one in similar_images(known, feature, 4)]


def test_equally_similar_images_stand_in_the_order_of_the_reference() -> None:
    same = Reference(
        features=np.ones((6, 2), dtype=np.float16),
        image_ids=tuple(f"img-{n}" for n in range(6)),
        labels=("x",) * 6,
        threshold=0.1,
    )
    assert [one.image_id for one in similar_images(same, np.array([1.0, 1.0]), 6)] == list(same.image_ids)


def test_a_feature_that_is_no_number_is_unfamiliar_and_its_answer_can_be_written() -> None:
    score, unfamiliar = assess(reference(), np.array([np.nan, 1.0]))
    assert unfamiliar
    assert 0.5 < score <= 1.0
    assert all(-1.0 <= one.similarity <= 1.0 for one in similar_images(reference(), np.array([np.nan, 1.0]), 2))


def test_no_pictures_are_no_answers() -> None:
    nothing = compare_many(reference(), np.zeros((0, 2)), 3)
    assert nothing.similar == []
    assert len(nothing.familiarity.scores) == 0
