"""A network on its way through the screen, with where its features come from and how many of them lay there before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from backend.contracts import Candidate, FeatureUse, Preprocessing
from backend.contracts.journal import decided
from backend.engine.feature_store import FeatureRequest, FeatureSource
from backend.engine.models import find_spec
from backend.engine.network import resolve_spec

if TYPE_CHECKING:
    from backend.contracts.journal import Journal
    from backend.search.study import Study

Ints = npt.NDArray[np.integer]


@dataclass(kw_only=True)
class Entrant:
    """A network on its way up the rungs, with the features that it has computed so far.

    `use` counts the images that it was shown, `shown` are their places.
    """

    candidate: Candidate
    preprocessing: Preprocessing
    source: FeatureSource
    seconds: float = 0.0
    use: FeatureUse = field(default_factory=lambda: FeatureUse(images=0, at_hand=0))
    shown: set[int] = field(default_factory=set)

    def show(self, places: Ints, *, journal: Journal) -> None:
        """Count images before they are looked at. What was at hand is noted: another attempt finds its own features."""
        new = np.array([place for place in map(int, places) if place not in self.shown], dtype=np.int64)
        if not len(new):
            return
        self.shown.update(map(int, new))
        at_hand = decided(journal, f"at hand of {len(self.shown)}", lambda: self.source.at_hand(new))
        self.use = FeatureUse(images=len(self.shown), at_hand=self.use.at_hand + at_hand)

    def estimate(self, places: Ints) -> float:
        """Seconds for the features of some images, 0 for those at hand; known once a batch was computed."""
        if not len(places) or self.source.cached(places):
            return 0.0
        return self.source.estimate_seconds(len(places)) or 0.0


def enter(study: Study, candidate: Candidate) -> Entrant:
    """Prepare a candidate; its network is built when a feature is asked for that is not on the disk.

    Raises:
        RecipeError: timm has no such network.
    """
    spec = resolve_spec(find_spec(candidate.name))
    preprocessing = study.preprocessing(spec)
    request = FeatureRequest(
        spec=spec,
        dataset=study.dataset,
        preprocessing=preprocessing,
        seed=study.recipe.seed,
        settings=study.settings,
        pooling=study.recipe.model.pooling,
    )
    source = FeatureSource(
        request, images=lambda: study.images(preprocessing), num_classes=study.num_classes, control=study.control
    )
    return Entrant(candidate=candidate, preprocessing=preprocessing, source=source)
