"""What a network must beat: the answer that looks at no picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backend.contracts import Candidate
from backend.data.targets import images_by_class
from backend.search.trial import Trial

if TYPE_CHECKING:
    from backend.search.study import Ints, Study

BASELINE = Candidate(name="baseline", family="baseline", timm_name="none", description="Always the most frequent class")
BASELINE_OF_CLASSES = "Always answers with the most frequent class; a network worth having beats it."
BASELINE_OF_LABELS = "Gives every label its share of the images; a network worth having beats it."


def run_baseline(study: Study, places: Ints) -> Trial:
    """Answer with the class shares of the training images, whatever the picture: what a network must beat."""
    counts = images_by_class(study.targets[study.train], study.num_classes)
    several = study.task == "multilabel"
    shares = counts / (len(study.train) if several else counts.sum())
    return Trial(
        candidate=BASELINE,
        strategy="baseline",
        reason=BASELINE_OF_LABELS if several else BASELINE_OF_CLASSES,
        held_out=np.tile(shares, (len(places), 1)),
        places=places,
        test_probabilities=np.tile(shares, (len(study.test), 1)),
    )
