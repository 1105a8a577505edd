"""What a trial leaves behind. A failure is a result: it says what was tried and why it ended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from backend.contracts import Candidate, EpochRecord, Preprocessing, TrialStrategy

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from backend.engine.network import Network

    Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A network that can be saved. `features` are of every image [N, D], or None where they must be computed."""

    network: Network
    preprocessing: Preprocessing
    features: Floats | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One candidate's way through the comparison.

    `held_out` are probabilities [R, C] for the run's ranking images, by a model that did not learn from them.
    `test_probabilities` [T, C] lie here unscored until the ranking stands. `best_epoch` of a fine-tune is 0 where no
    epoch beat the solved head that it began with. `members` are an ensemble's trials with their weights, which add up
    to 1, the heaviest first; empty for a single network.
    """

    candidate: Candidate
    strategy: TrialStrategy
    status: Literal["ok", "skipped", "failed"] = "ok"
    reason: str | None = None
    held_out: Floats | None = None
    test_probabilities: Floats | None = None
    history: tuple[EpochRecord, ...] = field(default_factory=tuple)
    best_epoch: int | None = None
    train_seconds: float = 0.0
    predict_ms_per_image: float | None = None
    size_mb: float | None = None
    parameters: int | None = None
    model: TrainedModel | None = None
    members: tuple[tuple[Trial, float], ...] = ()

    def without_model(self) -> Trial:
        """The same result with the network let go, so that memory holds one network and not all."""
        return replace(self, model=None)

    def discarded(self, reason: str) -> Trial:
        """The same way through the comparison, out of the ranking: what it took and why it does not count."""
        return replace(self, status="skipped", reason=reason, held_out=None, test_probabilities=None, model=None)
