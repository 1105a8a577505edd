"""How often answers of some confidence were right: what "80%" has meant on the test images. Pure; it knows no networks.

Source: DeGroot and Fienberg 1983, "The Comparison and Evaluation of Forecasters" (the reliability diagram).
"""

from __future__ import annotations

from collections.abc import Iterator

from backend.contracts import ReliabilityBand, TestPredictions

# The bounds by which a screen colours its bars, and one near certainty; finer ones would hold a handful of images each.
BOUNDS = (0.0, 0.5, 0.8, 0.95, 1.0)


def reliability(answers: TestPredictions) -> tuple[ReliabilityBand, ...]:
    """For each range of confidence: the answers in it, and those of them that were right.

    Multi-label: every label of every image is an answer of its own, right where the label is present.
    """
    counts = [[0, 0] for _ in BOUNDS[1:]]
    for confidence, right in _told(answers):
        band = sum(confidence >= bound for bound in BOUNDS[1:-1])
        counts[band][0] += 1
        counts[band][1] += right
    return tuple(
        ReliabilityBand(low=low, high=high, images=images, right=right)
        for low, high, (images, right) in zip(BOUNDS, BOUNDS[1:], counts, strict=False)
    )


def _told(answers: TestPredictions) -> Iterator[tuple[float, bool]]:
    for image in answers.images:
        if answers.task == "multiclass" or image.confidences is None:
            yield image.confidence, image.label == image.predicted
            continue
        present = set(image.labels or ())
        for name, confidence in zip(answers.class_names, image.confidences, strict=True):
            yield confidence, name in present
