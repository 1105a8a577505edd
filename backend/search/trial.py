"""What a trial leaves behind. A failure is a result: it says what was tried and why it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from backend.contracts import Candidate, EpochRecord, FeatureUse, Preprocessing, TrialStrategy

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from backend.engine.network import Network
    from backend.engine.probe import LinearHead

    Floats = npt.NDArray[np.floating]
    Ints = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A network that can be saved.

    `features` [P, D] are of the images at `places` [P], None for every image; without features they must be computed.
    """

    network: Network
    preprocessing: Preprocessing
    features: Floats | None
    places: Ints | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One candidate's way through the comparison.

    `held_out` are probabilities [R, C] for the images at `places` [R] (None: the run's ranking images), by a model that
    did not learn from them. `fresh_distances` say how far such images lie from those learned from, in its features.
    `test_probabilities` [T, C] lie here unscored until the ranking stands. `best_epoch` of a fine-tune is 0 where no
    epoch beat the solved head that it began with. A probe keeps its `head`, its `features_of` places, and how to
    `build` its network, so that many probes need no memory. `members` are an ensemble's trials with their weights,
    which add up to 1, the heaviest first; empty for a single network. `trainable` counts the weights that a fine-tune
    moves. `feature_use` counts the images that a probe looked at. `ran_on` names the machine of a pool that did it,
    with its address; None: this one.
    """

    candidate: Candidate
    strategy: TrialStrategy
    status: Literal["ok", "skipped", "failed"] = "ok"
    reason: str | None = None
    tried: str | None = None
    train_images: int | None = None
    held_out: Floats | None = None
    places: Ints | None = None
    test_probabilities: Floats | None = None
    fresh_distances: Floats | None = None
    history: tuple[EpochRecord, ...] = field(default_factory=tuple)
    best_epoch: int | None = None
    train_seconds: float = 0.0
    predict_ms_per_image: float | None = None
    size_mb: float | None = None
    parameters: int | None = None
    trainable: int | None = None
    head: LinearHead | None = None
    build: Callable[[], TrainedModel] | None = None
    features_of: Callable[[Ints], Floats] | None = None
    model: TrainedModel | None = None
    members: tuple[tuple[Trial, float], ...] = ()
    feature_use: FeatureUse | None = None
    ran_on: str | None = None

    @property
    def usable(self) -> bool:
        """Whether it left a model that can answer."""
        return self.status == "ok" and (self.model is not None or self.build is not None or bool(self.members))

    def with_model(self) -> Trial:
        """The same result with its networks at hand, an ensemble's members too.

        Raises:
            ValueError: the trial left no model.
        """
        if self.members:
            return replace(self, members=tuple((member.with_model(), weight) for member, weight in self.members))
        if self.model is not None:
            return self
        if self.build is None:
            raise ValueError(f"'{self.candidate.name}' left no model")
        return replace(self, model=self.build())

    def without_model(self) -> Trial:
        """The same result with the network let go, so that memory holds one network and not all."""
        return replace(self, model=None)

    def stopped(self, reason: str) -> Trial:
        """The same way through the comparison, ended early: its score stays to be seen, without a rank."""
        return replace(self, status="skipped", reason=reason, test_probabilities=None, model=None, build=None)

    def discarded(self, reason: str) -> Trial:
        """The same way through the comparison, out of the ranking: what it took and why it does not count."""
        return replace(self.stopped(reason), held_out=None)
