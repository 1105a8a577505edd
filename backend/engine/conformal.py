"""How far is too far, from distances of images that are not: a bound that new ones rarely exceed. Pure; distances only.

Sources: Lei et al. 2018, "Distribution-Free Predictive Inference for Regression", for the split-conformal quantile;
Gelman et al., "Bayesian Data Analysis", 3.3, for the predictive t-distribution that stands in where images are few.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

# Rounding to half floats alone moves a cosine by about this much; below it two pictures are the same.
ROUNDING = 1e-3
# What is known of the spread before any image was seen: the standard deviation of the distances' logarithms was
# 0.15-0.30 on CIFAR-10, Fashion-MNIST and DeepPCB under three networks. It weighs as much as so many images.
USUAL_SPREAD, ITS_WEIGHT = 0.25, 4


def bound(distances: Floats, share: float) -> float:
    """A distance that a new image of the same kind exceeds with a probability of `share` at most.

    The quantile that splits V distances [V] and the next one fairly: the ceil((V + 1)(1 - share))-th smallest. Below
    1 / share - 1 images there is none (the largest of 20 is exceeded by one new image in 21), and more is claimed than
    was seen: that the logarithms of the distances are normal. The bound is then that of the predictive t-distribution,
    and never below the largest seen.

    Raises:
        ValueError: there is no distance, or the share is not between 0 and 1.
    """
    if not len(distances) or not 0 < share < 1:
        raise ValueError(f"{len(distances)} distances, a share of {share}")
    place = math.ceil((len(distances) + 1) * (1 - share))
    if place <= len(distances):
        return float(np.partition(distances, place - 1)[place - 1])
    return max(float(distances.max()), _predicted(distances, share))


def _predicted(distances: Floats, share: float) -> float:
    from scipy.stats import t  # takes a second to import, and only few images need it

    logs = np.log(np.maximum(distances, ROUNDING))
    count = len(logs)
    freedom = count - 1 + ITS_WEIGHT
    spread = math.sqrt((((logs - logs.mean()) ** 2).sum() + ITS_WEIGHT * USUAL_SPREAD**2) / freedom)
    return float(np.exp(logs.mean() + t.ppf(1 - share, freedom) * spread * math.sqrt(1 + 1 / count)))
