from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from backend.errors import ImageError, InputError, NotFoundError
from backend.inference.predictor import Predictor


def test_new_pictures_get_the_right_label(predictor, picture) -> None:
    labels = [label for label in predictor.class_names for _ in range(4)]
    images = [picture(label, seed=1000 + place) for place, label in enumerate(labels)]
    answers = [answer.predictions[0].label for answer in predictor.predict(images)]
    assert sum(a == b for a, b in zip(answers, labels, strict=True)) >= 11


def test_confidences_fall_and_sum_to_one(predictor, picture) -> None:
    (answer,) = predictor.predict([picture("disc", seed=7)], top_k=10)
    confidences = [entry.confidence for entry in answer.predictions]
    assert len(confidences) == 3
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(1.0)


def test_top_k_limits_the_labels(predictor, picture) -> None:
    (answer,) = predictor.predict([picture("disc", seed=7)], top_k=1)
    assert len(answer.predictions) == 1


def test_a_batch_answers_as_single_pictures_do(predictor, picture) -> None:
    images = [picture("square", seed=seed, size=(60 + 9 * seed, 90)) for seed in range(5)]
    together = predictor.probabilities(images)
    alone = np.concatenate([predictor.probabilities([image]) for image in images])
    assert together.shape == (5, 3)
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_probabilities_are_what_the_whole_network_says(predictor, picture) -> None:
    import torch

    images = [picture("stripes", seed=3), picture("disc", seed=4)]
    with torch.inference_mode():
        scores = predictor.bundle.network.module(predictor.prepare(images))
    np.testing.assert_allclose(predictor.probabilities(images), torch.softmax(scores.double(), 1).numpy(), atol=1e-6)


def test_an_array_answers_as_the_same_picture_does(predictor, picture) -> None:
    image = picture("square", seed=11)
    np.testing.assert_array_equal(predictor.probabilities([np.asarray(image)]), predictor.probabilities([image]))


def test_grey_and_transparent_pictures_are_understood(predictor, picture) -> None:
    image = picture("stripes", seed=12)
    assert predictor.probabilities([image.convert("L"), image.convert("RGBA"), image.convert("P")]).shape == (3, 3)


def test_no_pictures_give_no_answers(predictor) -> None:
    assert predictor.predict([]) == []
    assert predictor.probabilities([]).shape == (0, 3)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 2), np.uint8),
        np.zeros(8, np.uint8),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_an_array_that_is_no_picture_is_refused_by_name(predictor, array) -> None:
    with pytest.raises(ImageError, match="uint8"):
        predictor.predict([array])


def test_top_k_below_one_is_refused(predictor, picture) -> None:
    with pytest.raises(InputError, match="at least 1"):
        predictor.predict([picture("disc", seed=1)], top_k=0)


def test_a_folder_without_a_model_is_said_to_be_one(tmp_path, settings) -> None:
    with pytest.raises(NotFoundError, match=r"model\.json"):
        Predictor.open(tmp_path, settings=settings)


def test_a_picture_like_the_training_images_is_familiar_and_one_unlike_them_is_not(predictor, picture) -> None:
    random = np.random.default_rng(5)
    odd = Image.fromarray(random.integers(0, 256, (96, 96, 3), dtype=np.uint8))
    known, strange = predictor.predict([picture("disc", seed=2), odd])
    assert not known.unfamiliar
    assert known.unfamiliarity < 0.5
    assert strange.unfamiliar
    assert strange.unfamiliarity > 0.5


def test_similar_training_images_are_named(predictor, picture) -> None:
    (answer,) = predictor.predict([picture("square", seed=12)])  # seed 12 with this label was a training image
    assert answer.similar[0].image_id == "img-012"
    assert answer.similar[0].similarity > 0.99
    assert {entry.label for entry in answer.similar} == {"square"}


def test_without_a_reference_nothing_is_called_unfamiliar(predictor, picture) -> None:
    from dataclasses import replace

    bare = Predictor(replace(predictor.bundle, reference=None))
    (answer,) = bare.predict([picture("disc", seed=1)])
    assert not answer.unfamiliar
    assert answer.similar == ()
