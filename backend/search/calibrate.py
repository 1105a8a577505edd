"""Calibration: one temperature, so that a confidence of 0.9 is right nine times in ten. Pure; it knows no networks.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks". A temperature changes how sure a network is, never
which class it names; where several networks are averaged, a close call between two classes may go the other way.
Where an image may have several labels, each also gets an offset: a loss that weighs rare labels more makes all of them
seem likelier than they are, and no temperature mends that. `engine.temperature` writes both into a network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

from backend.contracts import Calibration
from backend.data.targets import Targets, is_multilabel
from backend.engine.metrics import SMALLEST, expected_calibration_error, log_loss

Floats = npt.NDArray[np.floating]

# Beyond these the held-out images are all right or all wrong, and say nothing of how sure the next answer should be.
LOWEST, HIGHEST = 0.05, 20.0
WIDTH_OF_OFFSETS = 1.0  # nats; offsets of rare labels are drawn to 0 as by a normal distribution of this width
PRECISION = 1e-4  # of the temperature's logarithm: a change that no loss on thousands of images shows


def calibrate(held_out: Floats, targets: Targets) -> Calibration:
    """Find the temperature of a model by probabilities [N, C] for images that it did not learn from.

    The temperature has the smallest log-loss on these images; it is 1 where none is better than as it was.

    Raises:
        ValueError: there is no image, or probabilities and targets do not go together.
    """
    return calibrate_together([held_out], [1.0], targets)


def calibrate_together(held_outs: Sequence[Floats], weights: Sequence[float], targets: Targets) -> Calibration:
    """The same for models that answer together: one temperature for all, each scaled before they are averaged.

    So it can be written into each member's last layer. `held_outs` are M times [N, C], `weights` add up to 1.

    Raises:
        ValueError: there is no image, or probabilities and targets do not go together.
    """
    if not len(targets) or any(len(one) != len(targets) for one in held_outs):
        raise ValueError(f"probabilities of {[len(one) for one in held_outs]} images, {len(targets)} targets")
    if is_multilabel(targets):
        return _calibrate_labels(held_outs, weights, targets)

    def together(temperature: float) -> Floats:
        parts = [weight * apply_temperature(one, temperature) for one, weight in zip(held_outs, weights, strict=True)]
        return np.asarray(np.sum(parts, axis=0))

    def loss(logarithm: float) -> float:
        return log_loss(together(float(np.exp(logarithm))), targets)

    found = minimize_scalar(
        loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": PRECISION}
    )
    before = together(1.0)
    temperature = float(np.exp(found.x)) if found.fun < log_loss(before, targets) else 1.0
    after = together(temperature)
    return Calibration(
        temperature=temperature,
        images=len(targets),
        log_loss_before=log_loss(before, targets),
        log_loss_after=log_loss(after, targets),
        ece_before=expected_calibration_error(before, targets),
        ece_after=expected_calibration_error(after, targets),
    )


def _calibrate_labels(held_outs: Sequence[Floats], weights: Sequence[float], targets: Targets) -> Calibration:
    """A temperature for all labels and an offset for each, by the binary log-loss of all labels' decisions."""
    scores = [_log_odds(one) for one in held_outs]
    labels, cells = targets.shape[1], targets.size
    wanted = np.asarray(targets, dtype=np.float64)

    def loss_and_slope(point: Floats) -> tuple[float, Floats]:
        inverse, offsets = math.exp(-point[0]), point[1:]
        parts = [expit(one * inverse + offsets) for one in scores]
        mixed = np.clip(sum(weight * part for part, weight in zip(parts, weights, strict=True)), SMALLEST, 1 - SMALLEST)
        loss = (
            -np.where(wanted > 0, np.log(mixed), np.log1p(-mixed)).sum() + (offsets**2).sum() / 2 / WIDTH_OF_OFFSETS**2
        )
        by_mixed = (mixed - wanted) / (mixed * (1 - mixed))
        slope = np.append(0.0, offsets / WIDTH_OF_OFFSETS**2)
        for one, part, weight in zip(scores, parts, weights, strict=True):
            by_score = by_mixed * weight * part * (1 - part)
            slope[0] -= (by_score * one).sum() * inverse
            slope[1:] += by_score.sum(axis=0)
        return float(loss) / cells, slope / cells

    limits = [(np.log(LOWEST), np.log(HIGHEST)), *[(None, None)] * labels]
    found = minimize(loss_and_slope, np.zeros(labels + 1), jac=True, method="L-BFGS-B", bounds=limits)

    def together(temperature: float, offsets: Floats) -> Floats:
        parts = [weight * expit(one / temperature + offsets) for one, weight in zip(scores, weights, strict=True)]
        return np.asarray(sum(parts))

    before, after = (together(1.0, np.zeros(labels)), together(float(np.exp(found.x[0])), found.x[1:]))
    better = log_loss(after, targets) < log_loss(before, targets)
    return Calibration(
        temperature=float(np.exp(found.x[0])) if better else 1.0,
        offsets=tuple(float(one) for one in found.x[1:]) if better else (0.0,) * labels,
        images=len(targets),
        log_loss_before=log_loss(before, targets),
        log_loss_after=log_loss(after if better else before, targets),
        ece_before=expected_calibration_error(before, targets),
        ece_after=expected_calibration_error(after if better else before, targets),
    )


def apply_calibration(probabilities: Floats, calibration: Calibration) -> Floats:
    """Probabilities [N, C] as they are after their scores were divided by the temperature and offsets were added."""
    if calibration.offsets is None:
        return apply_temperature(probabilities, calibration.temperature)
    return np.asarray(expit(_log_odds(probabilities) / calibration.temperature + np.array(calibration.offsets)))


def _log_odds(probabilities: Floats) -> Floats:
    inside = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def apply_temperature(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities [N, C] as they are after their scores were divided by a temperature: softmax(log p / T)."""
    if temperature == 1.0:
        return probabilities
    scores = np.log(np.clip(probabilities, SMALLEST, 1.0)) / temperature
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
