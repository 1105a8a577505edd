"""L2-regularised logistic regressions, one for each label, on principal components: all labels in one L-BFGS.

The labels share nothing but the components, so that the joint problem is as easy as its parts; columns are rescaled as
in `engine.softmax_solver`. It knows no folds and no standardisation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backend.engine.softmax_solver import MAX_STEPS, Components

Floats = npt.NDArray[np.floating]


class SigmoidSolver:
    """Heads of several strengths on the same components; each start is the solution before it.

    `targets` [N, C] are 0 or 1, each column with both; `counts` [N, C] is how much an image counts for a label.
    """

    def __init__(self, components: Components, targets: Floats, *, counts: Floats, tolerance: float) -> None:
        kind = components.rows.dtype
        self._data = components
        self._targets = targets.astype(kind)
        self._images = len(targets)
        self._counts = (counts / self._images).astype(kind)
        shares = (counts * targets).sum(axis=0) / counts.sum(axis=0)
        self._variance = np.maximum(shares * (1 - shares), 1e-4)  # of each label where nothing is known of the image
        self._tolerance = tolerance
        self._found = np.zeros((len(components.singular) + 1, targets.shape[1]))
        self._found[-1] = np.log(shares / (1 - shares))

    def solve(self, strength: float) -> Floats:
        """Coefficients [R + 1, C], the last row the intercepts; `strength` is scikit-learn's C, for each label."""
        from scipy.optimize import minimize

        labels = self._found.shape[1]
        penalty = 1.0 / (strength * self._images)
        squares = self._data.singular**2 / self._images
        curvature = np.vstack([squares[:, None] * self._variance + penalty, self._variance[None, :]])
        scale = 1.0 / np.sqrt(curvature)
        ridge = np.append(np.full(len(self._data.singular), penalty), 0.0)[:, None]

        def loss_and_slope(flat: Floats) -> tuple[float, Floats]:
            point = flat.reshape(-1, labels) * scale
            loss, slope = self._data_part(point)
            return loss + 0.5 * float((ridge * point * point).sum()), (scale * (slope + ridge * point)).ravel()

        limits: dict[str, Any] = {"maxiter": MAX_STEPS, "gtol": self._tolerance, "ftol": 64 * np.finfo(float).eps}
        start = (self._found / scale).ravel()
        answer = minimize(loss_and_slope, start, jac=True, method="L-BFGS-B", options=limits)
        self._found = answer.x.reshape(-1, labels) * scale
        return self._found

    def _data_part(self, point: Floats) -> tuple[float, Floats]:
        """Mean binary cross-entropy, summed over labels, at coefficients [R + 1, C], and its slope there."""
        from scipy.special import expit

        rows = self._data.rows
        point = point.astype(rows.dtype, copy=False)
        scores = rows @ point[:-1] + point[-1]
        losses = np.logaddexp(0.0, scores) - self._targets * scores
        slopes = self._counts * (expit(scores) - self._targets)
        loss = float((self._counts * losses).sum())
        return loss, np.vstack([rows.T @ slopes, slopes.sum(axis=0)]).astype(np.float64, copy=False)
