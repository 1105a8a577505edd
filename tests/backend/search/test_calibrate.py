import numpy as np
import pytest

from backend.engine.metrics import expected_calibration_error, log_loss
from backend.search.calibrate import apply_calibration, apply_temperature, calibrate, calibrate_together


def drawn(sharpened=1.0, *, images=4000, classes=4, seed=0):
    """Probabilities that are right as often as they say, then sharpened, and the truth drawn from them."""
    random = np.random.default_rng(seed)
    honest = apply_temperature(random.dirichlet(np.ones(classes), size=images), 0.5)
    targets = (random.random(images)[:, None] > honest.cumsum(axis=1)).sum(axis=1).clip(0, classes - 1)
    return apply_temperature(honest, 1 / sharpened), targets


@pytest.mark.parametrize("sharpened", [0.4, 2.0, 5.0])
def test_a_known_miscalibration_is_found_and_undone(sharpened):
    probabilities, targets = drawn(sharpened)
    found = calibrate(probabilities, targets)
    assert found.temperature == pytest.approx(sharpened, rel=0.08)
    assert found.log_loss_after < found.log_loss_before
    assert found.ece_after < 0.025 < found.ece_before
    assert found.images == 4000


def test_calibrated_answers_stay_as_they_are():
    found = calibrate(*drawn())
    assert found.temperature == pytest.approx(1.0, rel=0.05)
    assert found.log_loss_after <= found.log_loss_before


def test_the_temperature_holds_on_other_images():
    fresh, truth = drawn(3.0, seed=1)
    temperature = calibrate(*drawn(3.0, images=300)).temperature
    calibrated = apply_temperature(fresh, temperature)
    assert log_loss(calibrated, truth) < log_loss(fresh, truth)
    assert expected_calibration_error(calibrated, truth) < expected_calibration_error(fresh, truth)


def test_what_is_reported_is_what_the_temperature_does():
    probabilities, targets = drawn(2.0)
    found = calibrate(probabilities, targets)
    after = apply_temperature(probabilities, found.temperature)
    assert found.log_loss_after == log_loss(after, targets)
    assert found.ece_after == expected_calibration_error(after, targets)
    assert (after.argmax(axis=1) == probabilities.argmax(axis=1)).all()


@pytest.mark.parametrize("certainty", [1.0, 0.9])
@pytest.mark.parametrize("right", [True, False])
def test_images_that_are_all_right_or_all_wrong_stay_within_bounds(certainty, right):
    probabilities = np.tile([certainty, 1 - certainty], (20, 1))
    found = calibrate(probabilities, np.full(20, 0 if right else 1))
    assert 0.05 <= found.temperature <= 20.0
    assert np.isfinite(found.log_loss_after)
    assert found.log_loss_after <= found.log_loss_before


def test_one_temperature_for_several_models_scales_each_before_the_average():
    first, targets = drawn(3.0)
    second = apply_temperature(first[:, ::-1], 2.0)
    found = calibrate_together([first, second], [0.8, 0.2], targets)
    together = 0.8 * apply_temperature(first, found.temperature) + 0.2 * apply_temperature(second, found.temperature)
    assert found.log_loss_after == pytest.approx(log_loss(together, targets))
    assert found.log_loss_after < found.log_loss_before


@pytest.mark.parametrize("temperature", [0.3, 1.0, 7.0])
def test_a_temperature_divides_the_scores(temperature):
    scores = np.random.default_rng(2).normal(size=(50, 3)) * 3
    softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    expected = np.exp(scores / temperature) / np.exp(scores / temperature).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(apply_temperature(softmax, temperature), expected, rtol=1e-9)


def test_no_images_cannot_calibrate():
    with pytest.raises(ValueError, match="0 targets"):
        calibrate(np.zeros((0, 2)), np.zeros(0, int))


def boasting_labels(*, temperature, offsets, images=3000, seed=0):
    """Labels drawn by true probabilities, and what a model says of them: its scores scaled and shifted."""
    random = np.random.default_rng(seed)
    scores = random.normal(-1.0, 1.5, (images, len(offsets)))
    targets = (random.random(scores.shape) < 1 / (1 + np.exp(-scores))).astype(np.float32)
    said = (scores - np.array(offsets)) * temperature
    return 1 / (1 + np.exp(-said)), targets


def test_labels_get_a_temperature_and_an_offset_each():
    said, targets = boasting_labels(temperature=2.0, offsets=(0.8, -0.6, 0.0))
    found = calibrate(said, targets)
    assert found.temperature == pytest.approx(2.0, rel=0.1)
    assert found.offsets == pytest.approx((0.8, -0.6, 0.0), abs=0.15)
    assert found.log_loss_after < found.log_loss_before
    assert found.ece_after < 0.02 < found.ece_before
    ready = apply_calibration(said, found)
    assert log_loss(ready, targets) == pytest.approx(found.log_loss_after)
    for label in range(3):  # nothing changes places within a label
        assert (np.argsort(ready[:, label]) == np.argsort(said[:, label])).all()


def test_a_label_on_three_images_is_not_pulled_far():
    said, targets = boasting_labels(temperature=1.0, offsets=(0.0, 0.0), images=60)
    targets[:, 1] = 0
    assert abs(calibrate(said, targets).offsets[1]) < 3.0


def test_networks_that_answer_together_share_what_is_found():
    said, targets = boasting_labels(temperature=2.0, offsets=(0.5, -0.5))
    other, _ = boasting_labels(temperature=2.0, offsets=(0.5, -0.5))
    found = calibrate_together([said, other], [0.5, 0.5], targets)
    assert found.temperature == pytest.approx(calibrate(said, targets).temperature, rel=1e-3)
    assert found.offsets == pytest.approx(calibrate(said, targets).offsets, abs=1e-3)


def test_calibrated_labels_are_left_as_they_are():
    said, targets = boasting_labels(temperature=1.0, offsets=(0.0, 0.0, 0.0), images=8000)
    found = calibrate(said, targets)
    assert found.temperature == pytest.approx(1.0, abs=0.05)
    assert found.log_loss_after <= found.log_loss_before
