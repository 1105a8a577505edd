"""Calibration: one temperature, so that a confidence of 0.9 is right nine times in ten. Pure; it knows no networks.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks". A temperature changes how sure a network is, never
which class it names; where several networks are averaged, a close call between two classes may go the other way.
`engine.temperature` writes it into a network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from backend.contracts import Calibration
from backend.engine.metrics import SMALLEST, expected_calibration_error, log_loss

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

# Beyond these the held-out images are all right or all wrong, and say nothing of how sure the next answer should be.
LOWEST, HIGHEST = 0.05, 20.0
PRECISION = 1e-4  # of the temperature's logarithm: a change that no loss on thousands of images shows


def calibrate(held_out: Floats, targets: Ints) -> Calibration:
    """Find the temperature of a model by probabilities [N, C] for images that it did not learn from.

    The temperature has the smallest log-loss on these images; it is 1 where none is better than as it was.

    Raises:
        ValueError: there is no image, or probabilities and targets do not go together.
    """
    return calibrate_together([held_out], [1.0], targets)


def calibrate_together(held_outs: Sequence[Floats], weights: Sequence[float], targets: Ints) -> Calibration:
    """The same for models that answer together: one temperature for all, each scaled before they are averaged.

    So it can be written into each member's last layer. `held_outs` are M times [N, C], `weights` add up to 1.

    Raises:
        ValueError: there is no image, or probabilities and targets do not go together.
    """
    if not len(targets) or any(len(one) != len(targets) for one in held_outs):
        raise ValueError(f"probabilities of {[len(one) for one in held_outs]} images, {len(targets)} targets")

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


def apply_temperature(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities [N, C] as they are after their scores were divided by a temperature: softmax(log p / T)."""
    if temperature == 1.0:
        return probabilities
    scores = np.log(np.clip(probabilities, SMALLEST, 1.0)) / temperature
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
